"""The door of this package: bytes of a request body to an ``Export``."""

from __future__ import annotations

from producers.errors import BodyError
from producers.gateway.otlp.export import Export, ExportLimits
from producers.gateway.otlp.json_decoder import decode_json
from producers.gateway.otlp.protobuf_decoder import decode_protobuf


def decode_export(body: bytes, content_type: str, limits: ExportLimits) -> Export:
    """Decode the body of an OTLP/HTTP trace export, already decompressed.

    Raises:
        BodyError: neither protobuf nor JSON, not decodable, or a span without proper ids; the message names the place.
        TooLargeError: more spans than ``limits.spans_max``.
    """
    media_type = content_type.lower()
    if "application/x-protobuf" in media_type:
        return decode_protobuf(body, limits)
    if "application/json" in media_type:
        return decode_json(body, limits)
    raise BodyError("Invalid content type")
