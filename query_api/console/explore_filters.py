"""Read the filter of Explore, a search such as `model:m-1 cost>0.1`, as filters of the API."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote, urlencode

from query_api.console.search import (
    SEARCH_CHARS_MAX,
    TERMS_MAX,
    money_of,
    number_of,
    term,
    terms_of,
)
from query_api.errors import BadRequestError
from query_api.query.dimension import View
from query_api.times import iso

_OWNERS: Final = {"user": "user_id", "session": "session_id", "env": "environment", "tag": "tags"}
_NUMBERS: Final = {"cost": "cost_usd", "latency": "latency_ms", "tokens": "total_tokens"}
_TEXTS: Final = {"input": "input", "output": "output"}
TERMS: Final[Mapping[View, Mapping[str, str]]] = MappingProxyType(
    {
        "observations": {
            **{each: each for each in ("model", "name", "type", "level")},
            **_OWNERS,
            "prompt": "prompt_name",
            "promptversion": "prompt_version",
            "tracename": "trace_name",
            "trace": "trace_id",
            "release": "release",
            "version": "version",
            "traceversion": "trace_version",
            "provider": "provider",
            "tier": "service_tier",
            "apikey": "api_key",
            "error": "error_type",
            "parent": "parent_id",
            **_NUMBERS,
            "ttft": "ttft_ms",
            "status": "status_message",
            **_TEXTS,
        },
        "traces": {
            "name": "name",
            **_OWNERS,
            "release": "release",
            "version": "version",
            "id": "id",
            **_NUMBERS,
            "observations": "observations",
            "errors": "errors",
            **_TEXTS,
        },
        "scores": {
            "name": "name", "source": "source", "value": "value", "text": "string_value",
            **_OWNERS, "tracename": "trace_name", "trace": "trace_id",
        },
    }
)  # fmt: skip
"""Fields of filters of ``/v1/query`` by the names in a search."""
_MONEY: Final = "cost_usd"
_KEY: Final = re.compile(r"[\w.-]+")
"""Members of objects that a term can name."""
_DURATIONS: Final = frozenset({"latency_ms", "ttft_ms"})
NUMBERS: Final = frozenset({*_NUMBERS.values(), *_DURATIONS, "observations", "errors", "value"})
_MATCHED: Final = frozenset({"input", "output", "status_message"})
_UPPER: Final = frozenset({"type", "level"})
_OF_LISTS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "observations": {
            **{field: name for name, field in TERMS["observations"].items()},
            "tag": "tag",
            "id": "id",
        },
        "traces": {
            **{field: name for name, field in TERMS["traces"].items() if name != "name"},
            "tag": "tag",
            "trace_name": "name",
            "trace_id": "id",
        },
        "scores": {
            # Counts include the session of a score's trace; the list has that of the score alone.
            **{field: name for name, field in TERMS["scores"].items() if field != "session_id"},
            "tag": "tag",
            "data_type": "type",
            "config_id": "config",
        },
    }
)
"""Terms of the searches of the lists by the fields and dimensions of ``/v1/query``."""
_LISTS: Final[Mapping[View, Sequence[str]]] = MappingProxyType(
    {
        "observations": ("observations", "traces"),
        "traces": ("traces",),
        "scores": ("scores", "traces"),
    }
)
"""The lists that can show what a view counts, the first if they have all terms."""


@dataclass(frozen=True, slots=True)
class Term:
    """A condition on a field; a number of time is in seconds, as in searches of lists."""

    field: str
    sign: str
    value: str

    @property
    def is_exact(self) -> bool:
        """Whether it is one value of a text field, of which a thing has only one."""
        return self.field not in {*NUMBERS, *_MATCHED, "tags", "tag"}

    @property
    def of_body(self) -> dict[str, Any]:
        """The condition as one of ``filters`` in the body."""
        if self.field in NUMBERS:
            operator = "=" if self.sign == ":" else self.sign
            factor = 1_000 if self.field in _DURATIONS else 1
            value = self.value if self.field == _MONEY else float(self.value) * factor
            return {"field": self.field, "operator": operator, "value": value}
        operator = "matches" if self.field in _MATCHED else "="
        if self.field == "tags":
            return {"field": "tags", "operator": "all_of", "value": [self.value]}
        return {"field": self.field, "operator": operator, "value": self.value}


def filters_of(view: View, text: str) -> tuple[Term, ...]:
    """Return the conditions of a search.

    Raises:
        BadRequestError: a field or a value is invalid; the message names what is allowed.
    """
    if len(text) > SEARCH_CHARS_MAX:
        raise BadRequestError(f"q: must have at most {SEARCH_CHARS_MAX} characters", field="q")
    fields = TERMS[view]
    found = []
    for name, sign, value in terms_of(text):
        if not name and "input" in fields:
            found.append(Term("input", ":", value))
            continue
        if name.lower() not in fields:
            allowed = tuple(fields)
            message = f"q: {(name or value)[:64]!r} is not one of {', '.join(allowed)}"
            raise BadRequestError(message, field="q", allowed=allowed)
        found.append(_term(fields[name.lower()], name, sign, value))
    if len(found) > TERMS_MAX:
        raise BadRequestError(f"q: must have at most {TERMS_MAX} terms", field="q")
    return tuple(found)


def _term(field: str, name: str, sign: str, value: str) -> Term:
    if field == _MONEY:
        return Term(field, sign, money_of(name, value))
    if field in NUMBERS:
        number = number_of(name, value, is_duration=field in _DURATIONS)
        return Term(field, sign, f"{number:g}")
    if sign not in {":", "="}:
        raise BadRequestError(f"q: {name} is a text; write {name}:VALUE", field="q")
    return Term(field, ":", value.upper() if field in _UPPER else value)


def body_filters(terms: Iterable[Term]) -> dict[str, Any]:
    """Return the members of the body for conditions; windows and spend have those by value.

    A field that is repeated has any of its values.
    """
    by_value: dict[str, list[str]] = {}
    others = []
    for each in terms:
        shown = each.of_body
        if shown["operator"] == "=" and each.field not in NUMBERS:
            by_value.setdefault(each.field, []).append(each.value)
        else:
            others.append(shown)
    return {**({"filter": by_value} if by_value else {}), **({"filters": others} if others else {})}


def terms_of_body(body: Mapping[str, Any]) -> tuple[tuple[Term, ...], frozenset[str]]:
    """Return the conditions of a body as terms, and the fields with others than terms express."""
    by_value, others = body.get("filter", {}), body.get("filters", [])
    found: list[Term] = []
    unlisted: set[str] = set()
    for field, values in by_value.items():
        if not values or (field == "tags" and len(values) > 1):
            unlisted.add(field)
        else:
            found += [Term(field, ":", value) for value in values]
    fields = [*by_value, *(each["field"] for each in others)]
    for each in others:
        terms = _terms_of_filter(each)
        # Terms of a repeated text mean any of the values, but all of the conditions must hold.
        is_repeated = fields.count(each["field"]) > 1
        if terms is None or (is_repeated and any(term.is_exact for term in terms)):
            unlisted.add(each["field"])
        else:
            found += terms
    return tuple(each for each in found if each.field not in unlisted), frozenset(unlisted)


def _terms_of_filter(given: Mapping[str, Any]) -> list[Term] | None:
    """Return the terms that express one of ``filters``; None if there are none."""
    field, operator, key = given["field"], given["operator"], given.get("key", "")
    value: Any = given.get("value")
    if field in NUMBERS:
        sign = ":" if operator == "=" else operator
        if sign not in {":", "<", "<=", ">", ">="}:
            return None
        factor = 1_000 if field in _DURATIONS else 1
        text = str(value) if field == _MONEY else f"{float(value) / factor:.9g}"
        return [Term(field, sign, text)]
    if field == "tags":
        return [Term(field, ":", each) for each in value] if operator == "all_of" else None
    is_term = operator == ("matches" if field in _MATCHED else "=") and isinstance(value, str)
    if not is_term or (key and not _KEY.fullmatch(key)):
        return None
    return [Term(f"{field}.{key}" if key else field, ":", value)]


def search_text(view: View, terms: Iterable[Term]) -> str | None:
    """Return the search of Explore with these terms; None if it does not have all fields."""
    names = {field: name for name, field in TERMS[view].items()}
    texts = []
    for each in terms:
        if each.field not in names:
            return None
        name = names[each.field]
        is_number = each.field in NUMBERS
        texts.append(f"{name}{each.sign}{each.value}" if is_number else term(name, each.value))
    return " ".join(texts)


def list_address(base: str, view: View, bounds_us: tuple[int, int], terms: Sequence[Term]) -> str:
    """Return the address of the observations, traces or scores that meet conditions in a range.

    It is empty if no list has all the fields.
    """
    if view == "traces":  # `name` is that of the trace
        terms = [replace(each, field="trace_name") if each.field == "name" else each
                 for each in terms]  # fmt: skip
    for page in _LISTS[view]:
        known = _OF_LISTS[page]
        if all(_name_in(known, each.field) for each in terms):
            query = {"from": iso(bounds_us[0]), "to": iso(bounds_us[1])}
            if texts := [_text(_name_in(known, each.field), each) for each in terms]:
                query["q"] = " ".join(texts)
            return f"{base}/{page}?{urlencode(query, quote_via=quote)}"
    return ""


def _name_in(known: Mapping[str, str], field: str) -> str:
    return field if field.startswith("metadata.") else known.get(field, "")


def _text(name: str, each: Term) -> str:
    if each.field in NUMBERS:
        return f"{name}{each.sign}{each.value}"
    # A name matches words of it after a colon, and only the same name after an equals sign.
    text = term(name, each.value)
    return text.replace(":", "=", 1) if name == "name" else text
