"""A program with OpenTelemetry and its conventions for generative AI; prints its trace id."""

import base64
import os

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

key = f"{os.environ['LANGFUSE_PUBLIC_KEY']}:{os.environ['LANGFUSE_SECRET_KEY']}"
exporter = OTLPSpanExporter(
    endpoint=f"{os.environ['LANGFUSE_HOST']}/v1/traces",
    headers={"Authorization": f"Basic {base64.b64encode(key.encode()).decode()}"},
)
provider = TracerProvider(resource=Resource.create({"service.name": "support"}))
provider.add_span_processor(BatchSpanProcessor(exporter))
tracer = provider.get_tracer("my.app", "1.0")
with tracer.start_as_current_span("answer-question") as chain:
    chain.set_attribute("user.id", "ada")
    chain.set_attribute("session.id", "session-1")
    chain.set_attribute("input.value", '{"question": "Where is my invoice?"}')
    chain.set_attribute("output.value", "Under Billing.")
    with tracer.start_as_current_span("search") as search:
        search.set_attribute("openinference.span.kind", "RETRIEVER")
        search.set_attribute("input.value", "invoice")
        search.set_attribute("output.value", '["page 1", "page 2"]')
    with tracer.start_as_current_span("write-answer") as generation:
        generation.set_attribute("gen_ai.operation.name", "chat")
        generation.set_attribute("gen_ai.request.model", "gpt-4o-mini")
        generation.set_attribute("gen_ai.request.temperature", 0.2)
        generation.set_attribute("gen_ai.usage.input_tokens", 1200)
        generation.set_attribute("gen_ai.usage.output_tokens", 300)
        generation.set_attribute(
            "input.value", '[{"role": "user", "content": "Where is my invoice?"}]'
        )
        generation.set_attribute("output.value", "Under Billing.")
    with tracer.start_as_current_span("send-mail") as failing:
        failing.set_attribute("gen_ai.tool.call.id", "call_1")
        failing.set_status(trace.StatusCode.ERROR, "mailbox full")
    trace_id = f"{chain.get_span_context().trace_id:032x}"
provider.shutdown()
print(trace_id)
