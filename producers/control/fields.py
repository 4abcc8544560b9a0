"""Decide which fields of a record may be stored unencrypted outside the log.

A field is public if its type has only plain values, and neither its name nor a mark shows that it
is a secret. Every other field is treated as a secret, so that a new kind cannot leak one by
mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

_PLAIN: Final = frozenset({str, int, float, bool, NoneType})
_CONTAINERS: Final = frozenset({dict, list, tuple, set, frozenset, Mapping, Union, UnionType})
_SUSPICIOUS: Final = ("secret", "password", "passphrase", "credential", "private_key")


@dataclass(frozen=True, slots=True)
class SecretField:
    """Mark a field that holds a secret: ``Annotated[str, SecretField()]``.

    It is encrypted in all copies of the record. Set ``repr=False`` as well to hide it in ``repr``.
    """

    new: Callable[[], str] | None = None
    """Create a new secret if recovery cannot decrypt the old one. Without it, the record is
    lost."""


@dataclass(frozen=True, slots=True)
class DigestField:
    """Mark a field that looks like a secret but is not one, such as a salted hash."""


_UNMARKED: Final = SecretField()


@lru_cache(maxsize=256)
def secret_fields(record: type[BaseModel]) -> Mapping[str, SecretField]:
    """Return the fields that must not be stored unencrypted outside the log."""
    found = {name: _secret(name, field) for name, field in record.model_fields.items()}
    return {name: secret for name, secret in found.items() if secret is not None}


def _secret(name: str, field: FieldInfo) -> SecretField | None:
    for marker in field.metadata:
        if isinstance(marker, SecretField):
            return marker
    if any(isinstance(marker, DigestField) for marker in field.metadata):
        return None if field.annotation is str else _UNMARKED
    is_suspicious = not field.repr or any(word in name for word in _SUSPICIOUS)
    return _UNMARKED if is_suspicious or not _is_public(field.annotation) else None


def _is_public(annotation: Any) -> bool:
    """Return whether a type has only plain values; False for an unknown type."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in _PLAIN or annotation is Ellipsis or origin is Literal:
        return True
    if origin is Annotated:
        return not any(isinstance(each, SecretField) for each in arguments) and _is_public(
            arguments[0]
        )
    if origin in _CONTAINERS:
        return all(map(_is_public, arguments))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return not secret_fields(annotation)
    return False
