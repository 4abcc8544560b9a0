"""Dead letters of the gateway."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from clickhouse.rows import DeadLetterRow
from producers.dead_letters import DeadLetter, dead_letter, encode_dead_letter

MAX_BYTES = 100_000


def letter_of(
    payload: bytes,
    *,
    project_id: str = "p",
    detail: str = "d",
    created_us: int = 1,
    max_bytes: int = MAX_BYTES,
) -> DeadLetter:
    return dead_letter(
        project_id,
        reason="r",
        detail=detail,
        payload=payload,
        created_us=created_us,
        max_bytes=max_bytes,
    )


def test_a_dead_letter_has_the_fields_of_its_table() -> None:
    def shape(struct: type[msgspec.Struct]) -> list[tuple[str, object, object]]:
        fields = msgspec.structs.fields(struct)
        return [(field.encode_name, field.type, field.default) for field in fields]

    assert shape(DeadLetter) == shape(DeadLetterRow)


def test_the_same_input_refused_again_is_the_same_letter() -> None:
    first, again, other = (
        letter_of(payload, created_us=at) for payload, at in ((b"x", 1), (b"x", 2), (b"y", 1))
    )

    assert first.id == again.id != other.id
    assert letter_of(b"x", project_id="q").id != first.id


@pytest.mark.parametrize("character", ["x", "é", "\0", '"'])
def test_a_letter_is_cut_to_its_limits_and_says_so(character: str) -> None:
    name, labels = "tracemill_producers_limit_reached_total", {"limit": "dead_letter_max_bytes"}
    before = REGISTRY.get_sample_value(name, labels) or 0
    letter = letter_of((character * 10**6).encode(), detail=character * 10**4)

    kept = len(letter.payload)
    assert 0.5 * MAX_BYTES < len(encode_dead_letter(letter)) <= MAX_BYTES
    assert letter.payload == character * kept
    assert letter.detail.startswith(character * 2_000 + "… [cut by tracemill]")
    assert letter.detail.endswith(f" [payload cut by tracemill: {kept} of 1000000 characters]")
    assert REGISTRY.get_sample_value(name, labels) == before + 1


def test_a_letter_within_its_limit_is_whole() -> None:
    letter = letter_of(b"x" * 80_000, detail="d")

    assert (letter.payload, letter.detail) == ("x" * 80_000, "d")


@given(st.binary(), st.integers(17, 20).map(lambda bits: 2**bits // 8))
def test_any_limit_is_kept(payload: bytes, max_bytes: int) -> None:
    letter = letter_of(payload * 1_000, max_bytes=max_bytes)

    assert len(encode_dead_letter(letter)) <= max_bytes


@given(st.binary())
def test_any_bytes_make_a_line_of_json(payload: bytes) -> None:
    line = encode_dead_letter(letter_of(payload))

    assert b"\n" not in line
    assert msgspec.json.decode(line, type=DeadLetterRow).created_us == 1
