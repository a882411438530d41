from openai import AsyncOpenAI
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from reporting import BASE, INVENT, KEY, Person, parses


async def ask(model):
    client = AsyncOpenAI(base_url=BASE, api_key=KEY, max_retries=0)
    chat = OpenAIChatModel(model, provider=OpenAIProvider(openai_client=client))
    return (await Agent(chat, output_type=NativeOutput(Person), retries=0).run(INVENT)).output


parses(ask)
