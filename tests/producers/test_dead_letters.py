"""Dead letters of the gateway."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clickhouse.rows import DeadLetterRow
from producers.dead_letters import (
    PAYLOAD_MAX_CHARS,
    DeadLetter,
    dead_letter,
    encode_dead_letter,
)


def test_a_dead_letter_has_the_fields_of_its_table() -> None:
    def shape(struct: type[msgspec.Struct]) -> list[tuple[str, object, object]]:
        fields = msgspec.structs.fields(struct)
        return [(field.encode_name, field.type, field.default) for field in fields]

    assert shape(DeadLetter) == shape(DeadLetterRow)


def test_the_same_input_refused_again_is_the_same_letter() -> None:
    first, again, other = (
        dead_letter("p", reason="r", detail="d", payload=payload, created_us=at)
        for payload, at in ((b"x", 1), (b"x", 2), (b"y", 1))
    )

    assert first.id == again.id != other.id
    assert dead_letter("q", reason="r", detail="d", payload=b"x", created_us=1).id != first.id


@pytest.mark.parametrize("character", ["x", "é", "\0"])
def test_a_letter_is_cut_to_its_limits(character: str) -> None:
    letter = dead_letter(
        "p",
        reason="r",
        detail=character * 10**4,
        payload=(character * 10**6).encode(),
        created_us=1,
    )

    assert len(letter.payload) == PAYLOAD_MAX_CHARS
    assert len(letter.detail) == 2_000


@given(st.binary())
def test_any_bytes_make_a_line_of_json(payload: bytes) -> None:
    line = encode_dead_letter(
        dead_letter("p", reason="r", detail="d", payload=payload, created_us=1)
    )

    assert b"\n" not in line
    assert msgspec.json.decode(line, type=DeadLetterRow).created_us == 1
