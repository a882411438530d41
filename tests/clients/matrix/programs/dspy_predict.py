import os
import tempfile

os.environ["DSPY_CACHEDIR"] = tempfile.mkdtemp()
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import dspy
from reporting import ANSWER, BASE, FULL, KEY, LONG, MODEL, QUESTION, WEATHER, Place, raises, works


def model(key=KEY, base=BASE):
    return dspy.LM(f"openai/{MODEL}", api_base=base, api_key=key, cache=False, num_retries=0)


def structured():
    # JSONAdapter sends a schema only to models it knows; any other is told in words.
    return Place.model_validate_json(text(model()(QUESTION, response_format=Place)[0]))


def usage():
    lm = model()
    lm(QUESTION)
    return lm.history[-1]["usage"]["total_tokens"]


def text(output):
    return output if isinstance(output, str) else output["text"]


def tools():
    (output,) = model()(QUESTION, tools=[WEATHER])
    return str(output["tool_calls"])


works("chat", lambda: text(model()(QUESTION)[0]), ANSWER)
works("usage", usage, True)
works("tools", tools, "weather")
works("structured output", structured, Place(city="Paris", country="France"))
raises("context overflow", "ContextWindowExceededError", lambda: model()(LONG))
raises("wrong key", "LMAuthError", lambda: model("wrong")(QUESTION))
raises("rate limit", "LMRateLimitError", lambda: model(base=FULL)(QUESTION))
