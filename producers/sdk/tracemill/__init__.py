"""tracemill for applications: the event contract, and a tracer that speaks to Kafka itself."""
