from openai import OpenAI
from reporting import BASE, INVENT, KEY, Person, parses


def ask(model):
    parsed = OpenAI(base_url=BASE, api_key=KEY, max_retries=0).chat.completions.parse(
        model=model, messages=[{"role": "user", "content": INVENT}], response_format=Person
    )
    return parsed.choices[0].message.parsed


parses(ask)
