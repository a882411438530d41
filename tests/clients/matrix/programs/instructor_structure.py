import instructor
from openai import OpenAI
from reporting import BASE, INVENT, KEY, Person, parses

stock = OpenAI(base_url=BASE, api_key=KEY, max_retries=0)
client = instructor.from_openai(stock, mode=instructor.Mode.JSON_SCHEMA)


def ask(model):
    messages = [{"role": "user", "content": INVENT}]
    person = client.chat.completions.create(
        model=model, messages=messages, response_model=Person, max_retries=1
    )
    return Person.model_validate(person.model_dump())


parses(ask)
