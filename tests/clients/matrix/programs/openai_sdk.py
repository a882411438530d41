import json

from openai import OpenAI
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


def client(key=KEY, base=BASE):
    return OpenAI(base_url=base, api_key=key, max_retries=0)


def ask(text=QUESTION, key=KEY, base=BASE, **more):
    messages = [{"role": "user", "content": text}]
    return client(key, base).chat.completions.create(model=MODEL, messages=messages, **more)


def stream():
    return "".join(
        chunk.choices[0].delta.content or "" for chunk in ask(stream=True) if chunk.choices
    )


def usage():
    options = {"include_usage": True}
    last = list(ask(stream=True, stream_options=options))[-1].usage
    return last.total_tokens > 0 and ask().usage.total_tokens > 0


def tools():
    call = ask(tools=[WEATHER]).choices[0].message
    messages = [
        {"role": "user", "content": QUESTION},
        call.model_dump(exclude_none=True),
        {
            "role": "tool",
            "tool_call_id": call.tool_calls[0].id,
            "content": weather(**json.loads(call.tool_calls[0].function.arguments)),
        },
    ]
    answer = client().chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER])
    return answer.choices[0].message.content


def streamed_tools():
    text = ""
    for chunk in ask(tools=[WEATHER], stream=True):
        for call in chunk.choices[0].delta.tool_calls or () if chunk.choices else ():
            text += call.function.name or ""
            text += call.function.arguments or ""
    return text


def parse():
    messages = [{"role": "user", "content": QUESTION}]
    parsed = client().chat.completions.parse(model=MODEL, messages=messages, response_format=Place)
    return parsed.choices[0].message.parsed


works("chat", lambda: ask().choices[0].message.content, ANSWER)
works("stream", stream, ANSWER)
works("usage", usage, True)
works("tools", tools, ANSWER)
works("tools, streamed", streamed_tools, 'weather{"city": "Paris"}')
works("structured output", parse, Place(city="Paris", country="France"))
raises("context overflow", "BadRequestError", lambda: ask(LONG))
raises("wrong key", "AuthenticationError", lambda: ask(key="wrong"))
raises("rate limit", "RateLimitError", lambda: ask(base=FULL))
