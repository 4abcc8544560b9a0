"""Fixtures of the S3 server, the sink's clients and the stores, imported by these tests only."""

from tests.clickhouse.front_for_tests import client, http, table
from tests.clickhouse.sink_for_tests import kafka, producer
from tests.clickhouse.store_users_for_tests import as_user, migrated, url
from tests.fixtures.s3 import s3_server

__all__ = [
    "as_user",
    "client",
    "http",
    "kafka",
    "migrated",
    "producer",
    "s3_server",
    "table",
    "url",
]
