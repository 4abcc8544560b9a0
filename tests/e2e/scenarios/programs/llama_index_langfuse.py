"""A question about documents through LlamaIndex, with Langfuse's callback of version 2."""

import os

from langfuse.llama_index import LlamaIndexCallbackHandler
from llama_index.core import Document, Settings, SummaryIndex
from llama_index.core.callbacks import CallbackManager
from llama_index.llms.openai import OpenAI

handler = LlamaIndexCallbackHandler()
session = {"user_id": "ada", "session_id": os.environ["SESSION"]}
Settings.callback_manager = CallbackManager([handler])
handler.set_trace_params(name="index", **session)
Settings.llm = OpenAI(model="gpt-4o-mini", api_base=os.environ["PROVIDER_URL"], api_key="k")
index = SummaryIndex.from_documents([Document(text="Invoices are under Billing.")])
handler.set_trace_params(name="support-chat", tags=["alpha"], **session)
answer = index.as_query_engine().query("Where is my invoice?")
assert str(answer) == "Under Billing."
handler.flush()
