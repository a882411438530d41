from openai import AsyncOpenAI
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from reporting import ANSWER, BASE, FULL, KEY, LONG, MODEL, QUESTION, Place, raises, weather, works


def agent(key=KEY, base=BASE, **more):
    client = AsyncOpenAI(base_url=base, api_key=key, max_retries=0)
    return Agent(OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=client)), **more)


async def ask(text=QUESTION, **more):
    return await agent(**more).run(text)


async def answer(**more):
    return (await ask(**more)).output


async def stream(**more):
    async with agent(**more).run_stream(QUESTION) as run:
        return "".join([text async for text in run.stream_text(delta=True)])


async def usage():
    async with agent().run_stream(QUESTION) as run:
        await run.get_output()
    streamed, whole = run.usage, (await ask()).usage
    counts = [(use() if callable(use) else use).total_tokens for use in (streamed, whole)]
    return all(counts)


works("chat", answer, ANSWER)
works("stream", stream, ANSWER)
works("usage", usage, True)
works("tools", lambda: answer(tools=[weather]), ANSWER)
works("tools, streamed", lambda: stream(tools=[weather]), ANSWER)
works(
    "structured output",
    lambda: answer(output_type=NativeOutput(Place)),
    Place(city="Paris", country="France"),
)
raises("context overflow", "ModelContextWindowExceededError", lambda: ask(LONG))
raises("wrong key", "ModelAuthenticationError", lambda: ask(key="wrong"))
raises("rate limit", "ModelRateLimitError", lambda: ask(base=FULL))
