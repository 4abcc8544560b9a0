"""`tracemill up`: Apache Kafka, the ClickHouse engine and all roles as child processes."""
