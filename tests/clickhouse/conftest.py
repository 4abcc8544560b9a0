"""The S3 server and the sink's clients are this room's alone: nobody else pays for importing them."""

from tests.clickhouse.sink_for_tests import kafka, producer
from tests.fixtures.s3 import s3_server

__all__ = ["kafka", "producer", "s3_server"]
