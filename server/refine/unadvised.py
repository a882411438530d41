"""The request for a refinement when nobody gives feedback: the baseline of a loop with feedback."""

from __future__ import annotations

REQUEST = """\
### Instruction
{instruction}

### Response
{response}

### Improved Response
Write an improved response to the original instruction. Write only the response itself: no \
heading, no remarks about what was changed."""


def request(instruction: str, response: str) -> str:
    return REQUEST.format(instruction=instruction, response=response)
