"""A kind is declared by its record; what is not declared public is kept secret."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, SecretStr, create_model

from producers.control.fields import DigestField, SecretField, secret_fields
from producers.control.record import ControlRecord
from producers.control.registry import KINDS, ControlKinds


class Plain(BaseModel):
    text: str
    numbers: tuple[int, ...] = ()


class WithSecret(BaseModel):
    token: Annotated[str, SecretField()]


class Opaque:
    pass


PUBLIC = [
    str,
    int | None,
    Literal["a", "b"],
    dict[str, list[int]],
    tuple[Plain, ...],
    Annotated[str, Field(max_length=3)],
]
SECRET = [
    Annotated[str, SecretField()],
    Annotated[str, SecretField()] | None,
    dict[str, Annotated[str, SecretField()]],
    WithSecret,
    list[WithSecret],
    SecretStr,
    bytes,
    object,
    Any,
    dict[str, Any],
    Opaque,
]


def record_with(annotation: Any, *, name: str = "field", **options: Any) -> type[BaseModel]:
    return create_model(
        "Toy",
        __config__={"arbitrary_types_allowed": True},
        **{name: (annotation, Field(**options))},
    )


@pytest.mark.parametrize("annotation", PUBLIC, ids=str)
def test_a_field_of_plain_values_is_public(annotation: Any) -> None:
    assert secret_fields(record_with(annotation)) == {}


@pytest.mark.parametrize("annotation", SECRET, ids=str)
def test_a_field_is_secret_if_it_is_marked_or_its_type_is_not_known(annotation: Any) -> None:
    assert list(secret_fields(record_with(annotation))) == ["field"]


@pytest.mark.parametrize("name", ["client_secret", "password", "secret_key", "private_key_pem"])
def test_a_field_that_is_named_like_a_secret_is_one(name: str) -> None:
    assert list(secret_fields(record_with(str, name=name))) == [name]


def test_a_field_that_does_not_show_is_secret_unless_it_is_a_digest() -> None:
    assert list(secret_fields(record_with(str, repr=False))) == ["field"]
    assert secret_fields(record_with(Annotated[str, DigestField()], repr=False)) == {}


def test_each_module_of_kinds_is_registered() -> None:
    assert set(KINDS) >= {"project", "api_key", "price", "budget", "webhook"}


def test_two_kinds_cannot_have_one_name() -> None:
    class Other(ControlRecord):
        kind = "budget"

    with pytest.raises(ValueError, match="'budget'"):
        KINDS.including(Other)


def test_a_kind_needs_a_name() -> None:
    class Nameless(ControlRecord):
        pass

    with pytest.raises(TypeError, match=r"Nameless\.kind must be a name"):
        ControlKinds(Nameless)


def test_a_type_that_the_log_would_write_as_asterisks_is_refused() -> None:
    class Masked(ControlRecord):
        kind = "masked"
        token: SecretStr

    with pytest.raises(TypeError, match=r"Masked\.token.*SecretField"):
        ControlKinds(Masked)
