"""How a model is asked for each phase: by continuing tokens (srt) or by chat messages (prompted).

An asker belongs to one engine and one instruction. Each phase starts fresh from the instruction
and the response at hand: that is what the model was trained on, and what keeps the cost of a
loop linear in its iterations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from redraft.server.engine.base import Chat, Engine, Message, Prompt, Tokens
from redraft.server.refine.srt_format import COMPONENTS, SrtFormat
from redraft.server.refine.trace import Feedback, Instruction, ResponseText

Style = Literal["srt", "prompted"]


@dataclass(frozen=True, slots=True)
class Ask:
    """A prompt, and what ends the completion besides the model's own end of text."""

    prompt: Prompt
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()


class Asker(Protocol):
    engine: Engine

    @property
    def components(self) -> tuple[str, ...]:
        """What its feedback has."""

    async def draft(self) -> Ask: ...

    async def feedback(self, response: ResponseText) -> Ask: ...

    async def refinement(self, response: ResponseText, feedback: Feedback) -> Ask: ...


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
        written, said = await self._ids(response), await self._ids(feedback)
        return self._ask(self._format.refinement_prompt(chat, written, said))

    def _ask(self, ids: tuple[int, ...]) -> Ask:
        return Ask(Tokens(ids), self._format.stop_strings(), self._format.stop_token_ids())

    async def _chat_ids(self) -> tuple[int, ...]:
        if self._chat is None:
            self._chat = await self.engine.encode_chat(self._instruction.messages)
        return self._chat

    async def _ids(self, text: ResponseText | Feedback) -> tuple[int, ...]:
        """The ids the engine generated; never re-tokenised, so that the prefix cache holds and
        the prompt is what training showed. Text from elsewhere has to be encoded."""
        if text.source == self.engine.name and text.token_ids:
            return text.token_ids
        return await self.engine.encode(text.text)


# The request of the paper's Table 1, in our words; the headings and the form of the score are
# the paper's. The refinement is asked for in a message of its own, so that feedback can be
# read, and the loop stopped, before it is paid for.
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
    """Asks any instruct model, by chat messages."""

    components = COMPONENTS

    def __init__(self, engine: Engine, instruction: Instruction) -> None:
        self.engine = engine
        self._instruction = instruction

    async def draft(self) -> Ask:
        return Ask(Chat(self._instruction.messages))

    async def feedback(self, response: ResponseText) -> Ask:
        return Ask(Chat((self._request(response),)), stop=(REFINEMENT_HEADING,))

    async def refinement(self, response: ResponseText, feedback: Feedback) -> Ask:
        asked = self._request(response)
        said = Message("assistant", feedback.text)
        return Ask(Chat((asked, said, Message("user", REFINEMENT_REQUEST))))

    def _request(self, response: ResponseText) -> Message:
        instruction = instruction_text(self._instruction)
        return Message(
            "user", FEEDBACK_REQUEST.format(instruction=instruction, response=response.text)
        )


def instruction_text(instruction: Instruction) -> str:
    """A conversation as one text; a single user message is just its words."""
    messages = instruction.messages
    if len(messages) == 1:
        return messages[0].content
    return "\n\n".join(f"[{m.role}]\n{m.content}" for m in messages)
