"""Requests for /docs; every one is sent by tests/server/api/schema/test_examples.py."""

from __future__ import annotations

from typing import Any

_TOTAL = [{"role": "user", "content": "What is the total of 25, 8, 34, 22?"}]
_SCHEMA = {
    "type": "object",
    "properties": {"total": {"type": "integer"}},
    "required": ["total"],
}

CHAT: dict[str, Any] = {
    "as the model's manifest says": {"value": {"messages": _TOTAL}},
    "streamed, refined twice at most, the best kept": {
        "value": {
            "messages": _TOTAL,
            "stream": True,
            "stream_options": {"include_usage": True},
            "refine": {"max_iterations": 2, "keep": "best", "good_enough": 9},
        }
    },
    "the best of four drafts, with everything that was written": {
        "value": {
            "messages": _TOTAL,
            "temperature": 0.8,
            "seed": 7,
            "refine": {"drafts": 4, "max_iterations": 0, "trace": True},
        }
    },
    "within two seconds and 400 tokens": {
        "value": {
            "messages": _TOTAL,
            "max_completion_tokens": 400,
            "refine": {"deadline_ms": 2000},
        }
    },
    "without refinement": {"value": {"messages": _TOTAL, "reasoning_effort": "none"}},
    "an answer that is JSON of this form": {
        "value": {
            "messages": _TOTAL,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "total", "schema": _SCHEMA},
            },
        }
    },
}

COMPLETION: dict[str, Any] = {
    "continue a text": {"value": {"prompt": "One, two, three,", "max_tokens": 20}},
    "answer it as an instruction, refined": {
        "value": {
            "prompt": "What is the total of 25, 8, 34, 22?",
            "refine": {"max_iterations": 1},
        }
    },
}

REFINE: dict[str, Any] = {
    "one iteration, everything shown": {
        "value": {"prompt": "What is the total of 25, 8, 34, 22?", "max_iterations": 1}
    },
    "every phase live, until the score is good enough": {
        "value": {
            "messages": _TOTAL,
            "max_iterations": 3,
            "good_enough": 9,
            "keep": "best",
            "stream": True,
        }
    },
    "improve a response that exists, by your own feedback": {
        "value": {
            "prompt": "What is the total of 25, 8, 34, 22?",
            "response": "The total is 96.",
            "feedback": "25 + 8 is 33, + 34 is 67, + 22 is 89.",
        }
    },
}

FEEDBACK: dict[str, Any] = {
    "what is weak about this response": {
        "value": {
            "prompt": "What is the total of 25, 8, 34, 22?",
            "response": "The total is 96.",
        }
    },
}
