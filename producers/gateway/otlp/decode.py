"""Decode the body of an export by its content type."""

from __future__ import annotations

from producers.errors import BodyError
from producers.gateway.otlp.export import Export, ExportLimits
from producers.gateway.otlp.json_decoder import decode_json
from producers.gateway.otlp.protobuf_decoder import decode_protobuf


def decode_export(body: bytes, content_type: str, limits: ExportLimits) -> Export:
    """Decode the body of an OTLP/HTTP trace export, already decompressed.

    Raises:
        BodyError: the content type is neither protobuf nor JSON, or the body cannot be decoded.
        TooLargeError: the export has more spans, groups or values than ``limits`` allow.
        DecodeInThreadError: the export must be decoded in a thread (``inline_values_max``).
    """
    media_type = content_type.lower()
    if "application/x-protobuf" in media_type:
        return decode_protobuf(body, limits)
    if "application/json" in media_type:
        return decode_json(body, limits)
    raise BodyError("Invalid content type")
