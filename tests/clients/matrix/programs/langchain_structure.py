from langchain_openai import ChatOpenAI
from reporting import BASE, INVENT, KEY, Person, parses


def ask(model):
    chat = ChatOpenAI(model=model, base_url=BASE, api_key=KEY, max_retries=0)
    return chat.with_structured_output(Person).invoke(INVENT)


parses(ask)
