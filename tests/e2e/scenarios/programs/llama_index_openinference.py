"""A question about documents through LlamaIndex, traced by OpenInference."""

import os

from llama_index.core import Document, Settings, SummaryIndex
from llama_index.llms.openai import OpenAI
from openinference.instrumentation import using_attributes
from openinference.instrumentation.llama_index import LlamaIndexInstrumentor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
LlamaIndexInstrumentor().instrument(tracer_provider=provider)
Settings.llm = OpenAI(model="gpt-4o-mini", api_base=os.environ["PROVIDER_URL"], api_key="k")
with (
    using_attributes(session_id=os.environ["SESSION"], user_id="ada", tags=["alpha"]),
    provider.get_tracer("app").start_as_current_span("support-chat"),
):
    index = SummaryIndex.from_documents([Document(text="Invoices are under Billing.")])
    answer = index.as_query_engine().query("Where is my invoice?")
    assert str(answer) == "Under Billing."
provider.shutdown()
