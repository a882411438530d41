import json
import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or it downloads prices

import litellm
from reporting import (
    ANSWER,
    BASE,
    FULL,
    KEY,
    LONG,
    MODEL,
    QUESTION,
    WEATHER,
    Place,
    raises,
    weather,
    works,
)

litellm.suppress_debug_info = True


def ask(text=QUESTION, key=KEY, base=BASE, messages=None, **more):
    return litellm.completion(
        model=f"openai/{MODEL}",
        messages=messages or [{"role": "user", "content": text}],
        api_base=base,
        api_key=key,
        max_retries=0,
        **more,
    )


def stream(**more):
    return litellm.stream_chunk_builder(list(ask(stream=True, **more))).choices[0].message


def usage():
    last = list(ask(stream=True, stream_options={"include_usage": True}))[-1]
    return last.usage.total_tokens and ask().usage.total_tokens


def tools():
    called = ask(tools=[WEATHER]).choices[0].message
    call = called.tool_calls[0]
    result = weather(**json.loads(call.function.arguments))
    messages = [
        {"role": "user", "content": QUESTION},
        called.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": result},
    ]
    return ask(messages=messages, tools=[WEATHER]).choices[0].message.content


works("chat", lambda: ask().choices[0].message.content, ANSWER)
works("stream", lambda: stream().content, ANSWER)
works("usage", usage, True)
works("tools", tools, ANSWER)
works(
    "tools, streamed",
    lambda: stream(tools=[WEATHER]).tool_calls[0].function.arguments,
    '{"city": "Paris"}',
)
works(
    "structured output",
    lambda: Place.model_validate_json(ask(response_format=Place).choices[0].message.content),
    Place(city="Paris", country="France"),
)
raises("context overflow", "ContextWindowExceededError", lambda: ask(LONG))
raises("wrong key", "AuthenticationError", lambda: ask(key="wrong"))
raises("rate limit", "RateLimitError", lambda: ask(base=FULL))
