"""Fixtures of the S3 server and the sink's clients, imported by these tests only."""

from tests.clickhouse.sink_for_tests import kafka, producer
from tests.fixtures.s3 import s3_server

__all__ = ["kafka", "producer", "s3_server"]
