"""Calls through OpenAI's client and LangChain, traced by version 2 of Langfuse's SDK."""

import asyncio
import os
from contextlib import suppress

import openai as plain_openai
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI
from langfuse import Langfuse
from langfuse.callback import CallbackHandler
from langfuse.openai import AsyncOpenAI, OpenAI

QUESTION = [{"role": "user", "content": "Where is my invoice?"}]
PROVIDER = {"base_url": os.environ["PROVIDER_URL"], "api_key": "k", "max_retries": 0}
TOOL = {
    "type": "function",
    "function": {"name": "search", "parameters": {"type": "object", "properties": {}}},
}

langfuse = Langfuse(flush_interval=0.1)
client = OpenAI(**PROVIDER)


def traced(name: str) -> dict[str, object]:
    """The arguments of a call with a trace of its own."""
    return {
        "name": name,
        "session_id": os.environ["SESSION"],
        "user_id": "ada",
        "tags": ["beta", "alpha"],
        "metadata": {"plan": "pro"},
        "model": "gpt-4o-mini",
        "messages": QUESTION,
    }


client.chat.completions.create(**traced("plain"), temperature=0.2)
client.chat.completions.create(**traced("tools"), tools=[TOOL])
for _ in client.chat.completions.create(
    **traced("stream"), stream=True, stream_options={"include_usage": True}
):
    pass
for name, status in (("limited", 429), ("broken", 500)):
    failing = traced(name) | {"messages": [{"role": "user", "content": f"tell me HTTP {status}"}]}
    with suppress(plain_openai.APIStatusError):
        client.chat.completions.create(**failing)


async def ask() -> None:
    await AsyncOpenAI(**PROVIDER).chat.completions.create(**traced("async"))


asyncio.run(ask())

handler = CallbackHandler(
    session_id=os.environ["SESSION"],
    user_id="ada",
    tags=["beta", "alpha"],
    metadata={"plan": "pro"},
)
prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("user", "{question}")])
chain = prompt | ChatOpenAI(model="gpt-4o-mini", temperature=0.2, **PROVIDER) | StrOutputParser()
chain = chain.with_config(run_name="answer-question")
assert (
    chain.invoke({"question": "Where is my invoice?"}, config={"callbacks": [handler]})
    == "Under Billing."
)
handler.flush()

trace = langfuse.trace(name="support-chat", user_id="ada", session_id=os.environ["SESSION"])
span = trace.span(name="retrieve", input="invoice")
span.end(output=["page 1"])
generation = trace.generation(name="answer", model="gpt-4o-mini", input=QUESTION)
generation.end(output="Under Billing.", usage={"input": 1200, "output": 300, "unit": "TOKENS"})
langfuse.flush()

# The user's answer comes later, from another process that knows only the id of the trace.
Langfuse(flush_interval=0.1).score(
    trace_id=trace.id, name="user-feedback", value=1, comment="That helped."
)
langfuse.flush()
Langfuse().flush()
