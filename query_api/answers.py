"""Answers as bytes, and how they are described in the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from starlette.responses import Response

_encoder: Final = msgspec.json.Encoder()
_JSON: Final = "application/json"
_EXAMPLE: Final = "x-example"

Responses = dict[int | str, dict[str, Any]]
"""What a route may answer, by status, as FastAPI takes it."""


def answer(body: object, *, status: int = 200) -> Response:
    """A struct, dictionary or list as JSON; msgspec writes a page of a thousand observations in a few milliseconds."""
    return Response(_encoder.encode(body), status, media_type=_JSON)


class Documented:
    """Collects the structs that routes answer with: their schemas go into the document's components.

    Examples are put into the finished document, because FastAPI leaves out what is null.
    """

    def __init__(self) -> None:
        self._types: dict[type, None] = {}
        self._examples: list[object] = []

    def add_schema(self, body: type) -> None:
        """Put the schema of a struct into the components."""
        self._types[body] = None

    def as_answer(self, body: type, description: str, example: object) -> dict[str, Any]:
        """One entry of a route's ``responses``."""
        self._types[body] = None
        self._examples.append(example)
        name = body.__name__
        content = {
            "schema": {"$ref": f"#/components/schemas/{name}"},
            _EXAMPLE: len(self._examples) - 1,
        }
        return {"description": description, "content": {_JSON: content}}

    def put_examples(self, operation: dict[str, Any]) -> None:
        """Into the answers of an operation of the document."""
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
