"""Prompts for each phase: a token sequence to continue (srt) or chat messages (prompted).

An asker belongs to one engine and one instruction. Each phase starts from the instruction and the
last response alone, as in training, so the cost of a loop is linear in its iterations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from redraft.server.engine.base import Chat, Engine, Message, Prompt, Tokens
from redraft.server.refine import unadvised
from redraft.server.refine.srt_format import COMPONENTS, SrtFormat
from redraft.server.refine.trace import Feedback, Instruction, ResponseText

Style = Literal["srt", "prompted"]


@dataclass(frozen=True, slots=True)
class Ask:
    """A prompt, and what ends its completion besides the model's end of text."""

    prompt: Prompt
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()


class Asker(Protocol):
    engine: Engine

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
        return self._ask(await self._chat_ids())

    async def feedback(self, response: ResponseText) -> Ask:
        chat = await self._chat_ids()
        return self._ask(self._format.feedback_prompt(chat, await self._ids(response)))

    async def refinement(self, response: ResponseText, feedback: Feedback) -> Ask:
        chat = await self._chat_ids()
        response_ids = await self._ids(response)
        if not feedback.text:
            return self._ask(self._format.unadvised_prompt(chat, response_ids))
        feedback_ids = await self._ids(feedback)
        return self._ask(self._format.refinement_prompt(chat, response_ids, feedback_ids))

    def _ask(self, ids: tuple[int, ...]) -> Ask:
        return Ask(Tokens(ids), self._format.stop_strings(), self._format.stop_token_ids())

    async def _chat_ids(self) -> tuple[int, ...]:
        if self._chat is None:
            self._chat = await self.engine.encode_chat(self._instruction.messages)
        return self._chat

    async def _ids(self, text: ResponseText | Feedback) -> tuple[int, ...]:
        """The ids as the engine generated them, so that the prefix cache is hit and the prompt is
        as in training. Only text from elsewhere is encoded."""
        if text.source == self.engine.name and text.token_ids:
            return text.token_ids
        return await self.engine.encode(text.text)


# The request of the paper's Table 1, reworded; the headings and the form of the score are the
# paper's. A message of its own asks for the refinement, so that the loop can stop after feedback.
FEEDBACK_REQUEST = """\
### Instruction
{instruction}

### Response
{response}

### Requirements
You teach AI assistants by giving them constructive feedback. Judge the response above by the \
original instruction alone; do not add requirements of your own. Go through these steps:
1. Weaknesses: say where the response falls short, precisely.
2. Suggestions: say what to do about each weakness, with specific advice.
3. Overall Score: rate the response from 1 to 10 (10 is best), in the form "Overall Score: [[n]]".

### Feedback
"""
REFINEMENT_REQUEST = """\
### Improved Response
Write the improved response to the original instruction now, following your feedback. Write only \
the response itself: no heading, no remarks about what was changed."""
REFINEMENT_HEADING = "### Improved Response"


class PromptedAsker:
    """Asks any instruct model, with chat messages."""

    components = COMPONENTS

    def __init__(self, engine: Engine, instruction: Instruction) -> None:
        self.engine = engine
        self._instruction = instruction

    async def draft(self) -> Ask:
        return Ask(Chat(self._instruction.messages))

    async def feedback(self, response: ResponseText) -> Ask:
        return Ask(Chat((self._request(response),)), stop=(REFINEMENT_HEADING,))

    async def refinement(self, response: ResponseText, feedback: Feedback) -> Ask:
        if not feedback.text:
            instruction = instruction_text(self._instruction)
            alone = Message("user", unadvised.request(instruction, response.text))
            return Ask(Chat((alone,)))
        request, reply = self._request(response), Message("assistant", feedback.text)
        return Ask(Chat((request, reply, Message("user", REFINEMENT_REQUEST))))

    def _request(self, response: ResponseText) -> Message:
        instruction = instruction_text(self._instruction)
        return Message(
            "user", FEEDBACK_REQUEST.format(instruction=instruction, response=response.text)
        )


def instruction_text(instruction: Instruction) -> str:
    """A conversation as one text; a single message is its content."""
    messages = instruction.messages
    if len(messages) == 1:
        return messages[0].content
    return "\n\n".join(f"[{m.role}]\n{m.content}" for m in messages)
