"""Find the names of the fields that a body accepts at a path, for errors about other names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, get_args

from fastapi.routing import APIRoute
from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo


def known_fields(route: object, path: Sequence[int | str]) -> tuple[str, ...]:
    """Return the names that a route's body accepts in the object at ``path``; empty if unknown."""
    if not isinstance(route, APIRoute) or len(route.dependant.body_params) != 1:
        return ()
    annotations: list[Any] = [route.dependant.body_params[0].field_info.annotation]
    for part in path:
        if isinstance(part, str):
            annotations = [
                field.annotation
                for model in _models(annotations)
                for name, field in model.model_fields.items()
                if part in _names(name, field)
            ]
    names = (
        _names(name, field)[0]
        for model in _models(annotations)
        for name, field in model.model_fields.items()
    )
    return tuple(dict.fromkeys(names))


def _models(annotations: Sequence[Any]) -> Iterator[type[BaseModel]]:
    """Iterate over the models in types, such as that in ``list[Model] | None``."""
    for annotation in annotations:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield annotation
        else:
            yield from _models(get_args(annotation))


def _names(name: str, field: FieldInfo) -> tuple[str, ...]:
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return tuple(choice for choice in alias.choices if isinstance(choice, str))
    return (alias if isinstance(alias, str) else name,)
