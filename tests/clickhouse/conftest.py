"""The S3 server is this room's alone: nobody else pays for importing its client."""

from tests.fixtures.s3 import s3_server

__all__ = ["s3_server"]
