"""Encode JSON responses, and describe responses in the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from starlette.responses import Response

_encoder: Final = msgspec.json.Encoder()
_JSON: Final = "application/json"
_EXAMPLE: Final = "x-example"

Responses = dict[int | str, dict[str, Any]]
"""Responses of a route by status, the argument ``responses`` of FastAPI."""


def json_response(body: object, *, status: int = 200) -> Response:
    """Encode a struct, dictionary or list as a JSON response."""
    return Response(_encoder.encode(body), status, media_type=_JSON)


class Documented:
    """Collect the structs of responses; their schemas become components of the OpenAPI document.

    Examples are added to the finished document, because FastAPI removes null values.
    """

    def __init__(self) -> None:
        self._types: dict[type, None] = {}
        self._examples: list[object] = []

    def add_schema(self, body: type) -> None:
        """Add the schema of a struct to the components."""
        self._types[body] = None

    def response(self, body: type, description: str, example: object) -> dict[str, Any]:
        """Return an entry of a route's ``responses`` for a struct."""
        self._types[body] = None
        self._examples.append(example)
        name = body.__name__
        content = {
            "schema": {"$ref": f"#/components/schemas/{name}"},
            _EXAMPLE: len(self._examples) - 1,
        }
        return {"description": description, "content": {_JSON: content}}

    def put_examples(self, operation: dict[str, Any]) -> None:
        """Add the examples to the responses of an operation."""
        for response in operation["responses"].values():
            content = response.get("content", {}).get(_JSON, {})
            number = content.pop(_EXAMPLE, None)
            if number is not None:
                content["example"] = self._examples[number]

    def schemas(self) -> dict[str, Any]:
        _, components = msgspec.json.schema_components(
            tuple(self._types), ref_template="#/components/schemas/{name}"
        )
        return components
