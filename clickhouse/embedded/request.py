"""Parse requests of ClickHouse's HTTP interface: parameters, headers, forms, compression."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from typing import Protocol
from urllib.parse import parse_qsl

import lz4.frame

from clickhouse.embedded.engine import Session

# Parameters of the HTTP interface, used or not; all other parameters of the URL are settings.
_NOT_SETTINGS = frozenset(
    {
        "query", "database", "default_format", "user", "password", "query_id", "quota_key", "role",
        "session_id", "session_timeout", "session_check", "buffer_size", "wait_end_of_query",
        "compress", "decompress", "client_protocol_version", "enable_http_compression",
        "send_progress_in_http_headers", "http_headers_progress_interval_ms",
        "cancel_http_readonly_queries_on_client_close",
    }
)  # fmt: skip


class BadRequest(Exception):
    """The request is invalid; ``code`` is ClickHouse's error code."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class Call:
    """The parsed head of a request."""

    query: bytes
    session: Session
    params: Mapping[str, str]
    default_format: str
    query_id: str
    user: str
    password: str
    content_type: str
    content_encoding: str
    accepted_encodings: frozenset[str] = field(default_factory=frozenset)


def parse_call(
    method: str, query_string: bytes, headers: Iterable[tuple[bytes, bytes]], new_query_id: str
) -> Call:
    """Parse the head of a request; a GET request is read-only, as in ClickHouse."""
    try:
        url = dict(parse_qsl(query_string.decode(), keep_blank_values=True, errors="strict"))
    except (UnicodeDecodeError, ValueError) as error:
        raise BadRequest(400, 36, "The URL's parameters are not UTF-8") from error
    head = {name: value.decode("latin-1") for name, value in headers}
    if url.get("compress", "0") == "1" or url.get("decompress", "0") == "1":
        raise BadRequest(400, 1, "Use HTTP compression instead of compress=1 or decompress=1")
    settings = {
        name: value
        for name, value in url.items()
        if name not in _NOT_SETTINGS and not name.startswith("param_")
    }
    if method == "GET":
        settings["readonly"] = "1"
    user, password = _credentials(url, head)
    wants_compression = url.get("enable_http_compression", "0") == "1"
    return Call(
        query=url.get("query", "").encode(),
        session=Session(
            url.get("database") or head.get(b"x-clickhouse-database") or "default", settings
        ),
        params={name[6:]: value for name, value in url.items() if name.startswith("param_")},
        default_format=url.get("default_format")
        or head.get(b"x-clickhouse-format")
        or "TabSeparated",
        query_id=url.get("query_id") or new_query_id,
        user=user,
        password=password,
        content_type=head.get(b"content-type", ""),
        content_encoding=head.get(b"content-encoding", "").strip().lower(),
        accepted_encodings=_encodings(head.get(b"accept-encoding", ""))
        if wants_compression
        else frozenset(),
    )


def form_fields(content_type: str, body: bytes) -> dict[str, str]:
    """Return the fields of a multipart form, in which clients send long statements."""
    message: Message = BytesParser().parsebytes(
        b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n" + body
    )
    fields: dict[str, str] = {}
    if not message.is_multipart():
        raise BadRequest(400, 36, "The body is not a valid multipart form")
    for part in message.get_payload():
        if not isinstance(part, Message):
            continue
        if part.get_filename():
            raise BadRequest(400, 48, "External tables are not supported by the embedded store")
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            fields[name] = payload.decode()
    return fields


class Decompressor(Protocol):
    def decompress(self, data: bytes, /) -> bytes: ...


class _Identity:
    def decompress(self, data: bytes, /) -> bytes:
        return data


def decompressor(encoding: str) -> Decompressor:
    """Return a streaming decompressor for a request's Content-Encoding."""
    if encoding in {"", "identity"}:
        return _Identity()
    if encoding == "lz4":
        decompressor_: Decompressor = lz4.frame.LZ4FrameDecompressor()
        return decompressor_
    if encoding == "gzip":
        return zlib.decompressobj(wbits=31)
    if encoding == "deflate":
        return zlib.decompressobj()
    raise BadRequest(400, 1, f"Content-Encoding {encoding!r} is not supported; use lz4 or gzip")


class Compressor:
    """A streaming compressor of a response; ``encoding`` is empty if it is not compressed."""

    def __init__(self, accepted: frozenset[str]) -> None:
        self.encoding = next((name for name in ("lz4", "gzip", "deflate") if name in accepted), "")
        self._lz4 = lz4.frame.LZ4FrameCompressor() if self.encoding == "lz4" else None
        self._begun = False
        wbits = 31 if self.encoding == "gzip" else zlib.MAX_WBITS
        self._zlib = (
            zlib.compressobj(level=1, wbits=wbits) if self.encoding in {"gzip", "deflate"} else None
        )

    def compress(self, data: bytes) -> bytes:
        if self._lz4:
            begin = b"" if self._begun else self._lz4.begin()
            self._begun = True
            compressed: bytes = begin + self._lz4.compress(data)
            return compressed
        return self._zlib.compress(data) if self._zlib else data

    def finish(self) -> bytes:
        if self._lz4:
            begin = b"" if self._begun else self._lz4.begin()
            end: bytes = begin + self._lz4.flush()
            return end
        return self._zlib.flush() if self._zlib else b""


def _encodings(header: str) -> frozenset[str]:
    return frozenset(part.split(";")[0].strip().lower() for part in header.split(","))


def _credentials(url: Mapping[str, str], head: Mapping[bytes, str]) -> tuple[str, str]:
    authorization = head.get(b"authorization", "")
    if authorization[:6].lower() == "basic ":
        try:
            user, _, password = base64.b64decode(authorization[6:]).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise BadRequest(403, 516, "The Authorization header is malformed") from error
        return user, password
    if b"x-clickhouse-user" in head or b"x-clickhouse-key" in head:
        return head.get(b"x-clickhouse-user", "default"), head.get(b"x-clickhouse-key", "")
    return url.get("user", "default"), url.get("password", "")
