import agents
from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, Runner, function_tool
from openai import AsyncOpenAI
from reporting import ANSWER, BASE, FULL, KEY, LONG, MODEL, QUESTION, Place, raises, weather, works

agents.set_tracing_disabled(True)


def agent(key=KEY, base=BASE, **more):
    client = AsyncOpenAI(base_url=base, api_key=key, max_retries=0)
    model = OpenAIChatCompletionsModel(model=MODEL, openai_client=client)
    settings = ModelSettings(include_usage=True)
    return Agent(name="asker", model=model, model_settings=settings, **more)


async def ask(text=QUESTION, **more):
    return await Runner.run(agent(**more), text)


async def answer(**more):
    return (await ask(**more)).final_output


async def stream(**more):
    run = Runner.run_streamed(agent(**more), QUESTION)
    text = ""
    async for event in run.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            text += event.data.delta
    return text


async def usage():
    return (await ask()).context_wrapper.usage.total_tokens


works("chat", answer, ANSWER)
works("stream", stream, ANSWER)
works("usage", usage, True)
works("tools", lambda: answer(tools=[function_tool(weather)]), ANSWER)
works("tools, streamed", lambda: stream(tools=[function_tool(weather)]), ANSWER)
works("structured output", lambda: answer(output_type=Place), Place(city="Paris", country="France"))
raises("context overflow", "BadRequestError", lambda: ask(LONG))
raises("wrong key", "AuthenticationError", lambda: ask(key="wrong"))
raises("rate limit", "RateLimitError", lambda: ask(base=FULL))
