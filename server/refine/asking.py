"""Prompts for each phase: a token sequence to continue (srt) or chat messages (prompted).

An asker belongs to one engine and one instruction. Each phase starts from the instruction and the
last response alone, as in training, so the cost of a loop is linear in its iterations.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Protocol

from redraft.server.engine.base import Chat, Engine, Mark, Message, Prompt, Tokens
from redraft.server.refine.feedback_form import FeedbackForm
from redraft.server.refine.fence import fence_of
from redraft.server.refine.media import with_media
from redraft.server.refine.requests import REFINEMENT_HEADING, UNADVISED_REQUEST, Requests
from redraft.server.refine.srt_format import COMPONENTS, SrtFormat
from redraft.server.refine.trace import Feedback, Instruction, ResponseText

Style = Literal["srt", "prompted"]
HEADING_LINE = f"\n{REFINEMENT_HEADING}"  # within a line it may be quoted
ECHO = 40  # characters of feedback that no response begins with by chance


@dataclass(frozen=True, slots=True)
class Ask:
    """A prompt, and what ends its completion besides the model's end of text."""

    prompt: Prompt
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    adapter: str | None = None  # the LoRA adapter that writes it; None: the model itself
    form: FeedbackForm | None = None  # what the completion is held to, where the engine can
    marks: tuple[Mark, ...] = ()  # after these the model could write the next phase by itself


class Asker(Protocol):
    @property
    def engine(self) -> Engine: ...

    @property
    def components(self) -> tuple[str, ...]:
        """The components of its feedback."""

    async def draft(self) -> Ask: ...

    async def feedback(self, response: ResponseText) -> Ask: ...

    async def refinement(self, response: ResponseText, feedback: Feedback) -> Ask:
        """Feedback without text: nobody gave any."""


class SrtAsker:
    """Asks a tuned model: the phases continue one token sequence."""

    def __init__(self, engine: Engine, srt_format: SrtFormat, instruction: Instruction) -> None:
        self.engine = engine
        self._format = srt_format
        self._instruction = instruction
        self._chat: tuple[int, ...] | None = None

    @property
    def components(self) -> tuple[str, ...]:
        return self._format.components

    async def draft(self) -> Ask:
        options = self._instruction.options
        if self.engine.thinks or options.calls_tools:
            # Only a chat tells thoughts and tool calls from text; later phases hold the text alone.
            chat = Chat(self._instruction.messages, options)
            return Ask(chat, self._format.stop_strings(), self._format.stop_token_ids())
        return self._going_on(await self._chat_ids())

    async def feedback(self, response: ResponseText) -> Ask:
        chat = await self._chat_ids()
        return self._going_on(self._format.feedback_prompt(chat, await self._ids(response)))

    async def refinement(self, response: ResponseText, feedback: Feedback) -> Ask:
        chat = await self._chat_ids()
        response_ids = await self._ids(response)
        if not feedback.text:
            return self._ask(self._format.unadvised_prompt(chat, response_ids))
        feedback_ids = await self._ids(feedback)
        return self._ask(self._format.refinement_prompt(chat, response_ids, feedback_ids))

    def _ask(self, ids: tuple[int, ...]) -> Ask:
        return Ask(Tokens(ids), self._format.stop_strings(), self._format.stop_token_ids())

    def _going_on(self, ids: tuple[int, ...]) -> Ask:
        return replace(self._ask(ids), marks=self._format.marks())

    async def _chat_ids(self) -> tuple[int, ...]:
        if self._chat is None:
            instruction = self._instruction
            self._chat = await self.engine.encode_chat(instruction.messages, instruction.options)
        return self._chat

    async def _ids(self, text: ResponseText | Feedback) -> tuple[int, ...]:
        """The ids as the engine generated them, so that the prefix cache is hit and the prompt is
        as in training. Only text from elsewhere is encoded."""
        if text.source == self.engine.name and text.token_ids:
            return text.token_ids
        return await self.engine.encode(text.text)


class PromptedAsker:
    """Asks any instruct model, with chat messages."""

    components = COMPONENTS

    def __init__(
        self, engine: Engine, instruction: Instruction, requests: Requests | None = None
    ) -> None:
        self.engine = engine
        self._instruction = instruction
        self._requests = requests or Requests()

    async def draft(self) -> Ask:
        return Ask(Chat(self._instruction.messages, self._instruction.options))

    async def feedback(self, response: ResponseText) -> Ask:
        instruction = instruction_text(self._instruction)
        words = Message("user", self._requests.for_feedback(instruction, response.text))
        request = with_media(words, self._instruction.messages)
        return Ask(Chat((request,)), stop=(HEADING_LINE,), form=FeedbackForm())

    async def refinement(self, response: ResponseText, feedback: Feedback) -> Ask:
        if feedback.text:
            instruction = instruction_text(self._instruction)
            request = self._requests.for_refinement(instruction, response.text, feedback.text)
        else:
            request = UNADVISED_REQUEST
        reply = Message("assistant", response.text)
        chat = Chat((*self._instruction.messages, reply, Message("user", request)))
        # A model that writes the feedback once more writes no response; it is ended there.
        echo = feedback.text.strip()[:ECHO]
        return Ask(chat, stop=(echo,) if len(echo) == ECHO else ())


def instruction_text(instruction: Instruction) -> str:
    """A conversation as one text; a single message is its content. No message can pass for
    several: the roles are named in lines that none contains."""
    messages = instruction.messages
    if len(messages) == 1:
        return messages[0].content
    texts = [_words(m) for m in messages]
    fence = fence_of(*texts)
    return "\n\n".join(
        f"[{m.role} {fence}]\n{text}" for m, text in zip(messages, texts, strict=True)
    )


def _words(message: Message) -> str:
    """The content of a message and its tool calls, to be read."""
    calls = (message.wire or {}).get("tool_calls") or ()
    functions = (call.get("function") or {} for call in calls)
    lines = [f"calls {f.get('name')}({f.get('arguments')})" for f in functions]
    return "\n".join([message.content, *lines] if message.content else lines)
