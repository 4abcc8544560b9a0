"""Embedded mode: Apache Kafka and the store's front as child processes, every role beside them."""
