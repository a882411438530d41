from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from reporting import ANSWER, BASE, FULL, KEY, LONG, MODEL, QUESTION, Place, raises, weather, works


def model(key=KEY, base=BASE):
    return ChatOpenAI(model=MODEL, base_url=base, api_key=key, max_retries=0, stream_usage=True)


def tools():
    bound = model().bind_tools([tool(weather)])
    messages = [HumanMessage(QUESTION)]
    called = bound.invoke(messages)
    call = called.tool_calls[0]
    result = ToolMessage(weather(**call["args"]), tool_call_id=call["id"])
    return bound.invoke([*messages, called, result]).content


def streamed_tools():
    whole = None
    for chunk in model().bind_tools([tool(weather)]).stream(QUESTION):
        whole = chunk if whole is None else whole + chunk
    return whole.tool_calls[0]["args"]


def usage():
    chunks = list(model().stream(QUESTION))
    streamed = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
    return streamed and model().invoke(QUESTION).usage_metadata["total_tokens"]


works("chat", lambda: model().invoke(QUESTION).content, ANSWER)
works("stream", lambda: "".join(chunk.content for chunk in model().stream(QUESTION)), ANSWER)
works("usage", usage, True)
works("tools", tools, ANSWER)
works("tools, streamed", streamed_tools, {"city": "Paris"})
works(
    "structured output",
    lambda: model().with_structured_output(Place, method="json_schema").invoke(QUESTION),
    Place(city="Paris", country="France"),
)
raises("context overflow", "ContextOverflowError", lambda: model().invoke(LONG))
raises("wrong key", "AuthenticationError", lambda: model("wrong").invoke(QUESTION))
raises("rate limit", "RateLimitError", lambda: model(base=FULL).invoke(QUESTION))
