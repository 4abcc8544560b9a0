"""Calls through OpenAI's client and LangChain, traced by versions 3 to 5 of Langfuse's SDK."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import openai as plain_openai
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI
from langfuse import Langfuse, propagate_attributes
from langfuse.langchain import CallbackHandler
from langfuse.openai import AsyncOpenAI, OpenAI

QUESTION = [{"role": "user", "content": "Where is my invoice?"}]
PROVIDER = {"base_url": os.environ["PROVIDER_URL"], "api_key": "k", "max_retries": 0}
TOOL = {
    "type": "function",
    "function": {"name": "search", "parameters": {"type": "object", "properties": {}}},
}

langfuse = Langfuse()
client = OpenAI(**PROVIDER)


@contextmanager
def traced(name: str) -> Iterator[dict[str, object]]:
    """The arguments of a call with a trace of its own."""
    attributes = {
        "session_id": os.environ["SESSION"], "user_id": "ada", "tags": ["beta", "alpha"],
        "metadata": {"plan": "pro"},
    }  # fmt: skip
    with propagate_attributes(**attributes):
        yield {
            "name": name, "model": "gpt-4o-mini", "messages": QUESTION,
        }  # fmt: skip


with traced("plain") as arguments:
    client.chat.completions.create(**arguments, temperature=0.2)
with traced("tools") as arguments:
    client.chat.completions.create(**arguments, tools=[TOOL])
with traced("stream") as arguments:
    for _ in client.chat.completions.create(
        **arguments, stream=True, stream_options={"include_usage": True}
    ):
        pass
for name, status in (("limited", 429), ("broken", 500)):
    with traced(name) as arguments:
        arguments["messages"] = [{"role": "user", "content": f"tell me HTTP {status}"}]
        with suppress(plain_openai.APIStatusError):
            client.chat.completions.create(**arguments)


async def ask() -> None:
    with traced("async") as arguments:
        await AsyncOpenAI(**PROVIDER).chat.completions.create(**arguments)


asyncio.run(ask())

handler = CallbackHandler()
prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("user", "{question}")])
chain = prompt | ChatOpenAI(model="gpt-4o-mini", temperature=0.2, **PROVIDER) | StrOutputParser()
chain = chain.with_config(run_name="answer-question")
metadata = {
    "langfuse_session_id": os.environ["SESSION"], "langfuse_user_id": "ada",
    "langfuse_tags": ["beta", "alpha"], "plan": "pro",
}  # fmt: skip
answer = chain.invoke(
    {"question": "Where is my invoice?"}, config={"callbacks": [handler], "metadata": metadata}
)
assert answer == "Under Billing."

with (
    propagate_attributes(session_id=os.environ["SESSION"], user_id="ada"),
    langfuse.start_as_current_observation(name="support-chat") as root,
):
    trace_id = root.trace_id
    with langfuse.start_as_current_observation(name="retrieve", input="invoice") as span:
        span.update(output=["page 1"])
    with langfuse.start_as_current_observation(
        name="answer", as_type="generation", model="gpt-4o-mini", input=QUESTION
    ) as generation:
        generation.update(output="Under Billing.", usage_details={"input": 1200, "output": 300})
langfuse.flush()

# The user's answer comes later, from another process that knows only the id of the trace.
langfuse.create_score(trace_id=trace_id, name="user-feedback", value=1, comment="That helped.")
langfuse.flush()
