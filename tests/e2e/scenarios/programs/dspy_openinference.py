"""A DSPy program, traced by OpenInference; prints the id of the trace."""

import os

import dspy
from openinference.instrumentation import using_attributes
from openinference.instrumentation.dspy import DSPyInstrumentor
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
DSPyInstrumentor().instrument(tracer_provider=provider)
dspy.configure(
    lm=dspy.LM("openai/gpt-4o-mini", api_base=os.environ["PROVIDER_URL"], api_key="k", cache=False)
)


class Support(dspy.Module):
    def __init__(self) -> None:
        self.answer = dspy.Predict("question -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        return self.answer(question=question)


with (
    using_attributes(session_id=os.environ["SESSION"], user_id="ada", tags=["alpha", "beta"]),
    trace.get_tracer("app").start_as_current_span("support-chat") as span,
):
    trace_id = f"{span.get_span_context().trace_id:032x}"
    assert Support()(question="Where is my invoice?").answer == "Under Billing."
provider.shutdown()
print(trace_id)
