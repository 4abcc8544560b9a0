"""Decompress gzip bodies in small pieces, within limits."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from producers import metrics
from producers.errors import BodyError
from producers.gateway.http.body import BodyLimits, too_large

PIECE_BYTES: Final = 512 * 1024
"""Maximum size of a decompressed piece, which takes about a millisecond."""
_FED_BYTES: Final = 64 * 1024
"""Compressed bytes that are passed to zlib at once; it copies those that it does not use."""
_GZIP_WINDOW: Final = 31


class Gunzip:
    """Decompress all gzip members of a body.

    Iterating yields pieces of at most ``PIECE_BYTES``, which may be empty.

    Raises (during the iteration):
        TooLargeError: the decompressed body exceeds ``limits``.
        BodyError: the body is not gzip, is incomplete, or has too many members.
    """

    def __init__(self, body: bytes, limits: BodyLimits) -> None:
        self._body = memoryview(body)
        self._limits = limits
        self._bytes_left = limits.decompressed_max_bytes
        self._pieces = self._decompress()

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def _decompress(self) -> Iterator[bytes]:
        at = 0
        for _ in range(self._limits.gzip_members_max):
            member = zlib.decompressobj(_GZIP_WINDOW)
            while not member.eof:
                fed = member.unconsumed_tail
                if not fed:
                    fed = bytes(self._body[at : at + _FED_BYTES])
                    at += len(fed)
                try:
                    piece = member.decompress(fed, PIECE_BYTES)
                except zlib.error as error:
                    raise BodyError(f"the body is not gzip: {error}") from error
                if not fed and not piece and not member.eof:
                    raise BodyError("the gzip body is incomplete")
                self._bytes_left -= len(piece)
                if self._bytes_left < 0:
                    limits = self._limits
                    raise too_large(
                        "decompressed body",
                        limits.decompressed_setting,
                        limits.decompressed_max_bytes,
                    )
                yield piece
            at = self._next_member(at - len(member.unused_data))
            if at == len(self._body):
                return
        metrics.LIMIT_REACHED.labels(limit="gzip_members_max").inc()
        message = f"the body has more than {self._limits.gzip_members_max} gzip members"
        raise BodyError(message)

    def _next_member(self, at: int) -> int:
        """Return the offset of the next member; zeros between members are padding."""
        while at < len(self._body):
            run = bytes(self._body[at : at + _FED_BYTES])
            rest = run.lstrip(b"\0")
            at += len(run) - len(rest)
            if rest:
                break
        return at


def gunzip(body: bytes, limits: BodyLimits) -> bytes:
    """Decompress a whole body at once; raise as ``Gunzip``."""
    return b"".join(Gunzip(body, limits))
