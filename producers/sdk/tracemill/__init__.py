"""tracemill for applications: the event contract, and a tracer that speaks to Kafka itself."""

from tracemill.delivery import Stats
from tracemill.span import Span, Trace
from tracemill.tracer import Tracer
from tracemill.usage import Usage

__all__ = ["Span", "Stats", "Trace", "Tracer", "Usage"]
