import json
import os
import tempfile
from pathlib import Path

from reporting import ANSWER, BASE, FULL, KEY, LONG, MODEL, QUESTION, Place, raises, weather, works

folder = tempfile.mkdtemp()
os.environ["LLM_USER_PATH"] = folder
declared = [
    {
        "model_id": name,
        "model_name": MODEL,
        "api_base": base,
        "api_key_name": "redraft",
        "supports_schema": True,
        "supports_tools": True,
    }
    for name, base in (("redraft", BASE), ("full", FULL))
]
Path(folder, "extra-openai-models.yaml").write_text(json.dumps(declared))

import llm

PLACE = Place(city="Paris", country="France")


def ask(text=QUESTION, key=KEY, name="redraft", **more):
    return llm.get_model(name).prompt(text, key=key, **more)


def chain(stream):
    return llm.get_model("redraft").chain(QUESTION, key=KEY, tools=[weather], stream=stream)


def usage():
    response = ask(stream=True)
    response.text()
    return response.usage().input and response.usage().output


works("chat", lambda: ask(stream=False).text(), ANSWER)
works("stream", lambda: "".join(ask(stream=True)), ANSWER)
works("usage", usage, True)
works("tools", lambda: chain(stream=False).text(), ANSWER)
works("tools, streamed", lambda: "".join(chain(stream=True)), ANSWER)
works(
    "structured output",
    lambda: Place.model_validate_json(ask(schema=Place, stream=False).text()),
    PLACE,
)
raises("context overflow", "BadRequestError", lambda: ask(LONG, stream=False).text())
raises("wrong key", "AuthenticationError", lambda: ask(key="wrong", stream=False).text())
raises("rate limit", "RateLimitError", lambda: ask(name="full", stream=False).text())
