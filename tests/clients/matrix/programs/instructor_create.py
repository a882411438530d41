import instructor
from openai import OpenAI
from reporting import ANSWER, BASE, FULL, KEY, LONG, MODEL, QUESTION, Place, raises, works

PARIS = Place(city="Paris", country="France")


def client(mode=instructor.Mode.JSON_SCHEMA, key=KEY, base=BASE):
    stock = OpenAI(base_url=base, api_key=key, max_retries=0)
    return instructor.from_openai(stock, mode=mode)


def ask(response_model=Place, text=QUESTION, **more):
    return client(**more).chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": text}],
        response_model=response_model,
        max_retries=1,
    )


def stream():
    partial = client().chat.completions.create_partial(
        model=MODEL, messages=[{"role": "user", "content": QUESTION}], response_model=Place
    )
    return list(partial)[-1].model_dump()


def usage():
    _, completion = client().chat.completions.create_with_completion(
        model=MODEL, messages=[{"role": "user", "content": QUESTION}], response_model=Place
    )
    return completion.usage.total_tokens


works("chat", lambda: ask(None).choices[0].message.content, ANSWER)
works("stream", stream, PARIS.model_dump())
works("usage", usage, True)
works("tools", lambda: ask(mode=instructor.Mode.TOOLS).model_dump(), PARIS.model_dump())
works("structured output", lambda: ask().model_dump(), PARIS.model_dump())
raises("context overflow", "InstructorRetryException", lambda: ask(text=LONG))
raises("wrong key", "InstructorRetryException", lambda: ask(key="wrong"))
raises("rate limit", "InstructorRetryException", lambda: ask(base=FULL))
