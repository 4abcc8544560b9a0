"""Filter pages by dimensions of ``/v1/query``; the query string repeats ``filter=NAME:VALUE``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, urlencode

from starlette.datastructures import QueryParams

from query_api.console.search import term
from query_api.errors import BadRequestError
from query_api.times import iso

FILTERS_MAX: Final = 20
TRACE_TERMS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "environment": "env",
        "user_id": "user",
        "session_id": "session",
        "trace_name": "name",
        "tags": "tag",
        "release": "release",
        "version": "version",
        "level": "level",
    }
)
"""Terms of the search of traces that select a value of a dimension."""
OBSERVATION_TERMS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "environment": "env",
        "user_id": "user",
        "session_id": "session",
        "tags": "tag",
        "version": "version",
        "level": "level",
        "model": "model",
        "name": "name",
        "type": "type",
        "prompt_name": "prompt",
        "prompt_version": "promptversion",
        "trace_name": "tracename",
        "release": "release",
    }
)
"""The same for the search of observations, which has all that traces have."""
assert TRACE_TERMS.keys() <= OBSERVATION_TERMS.keys()
NAMES: Final = tuple(dict.fromkeys((*TRACE_TERMS, *OBSERVATION_TERMS)))
"""Dimensions that filter."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Dimensions with the values that are allowed, each in the order of the query string."""

    pairs: tuple[tuple[str, str], ...] = ()

    @property
    def by_name(self) -> dict[str, list[str]]:
        """The filter as in the body of ``/v1/query``."""
        found: dict[str, list[str]] = {}
        for name, value in self.pairs:
            found.setdefault(name, []).append(value)
        return found

    @property
    def parameters(self) -> list[tuple[str, str]]:
        return [("filter", f"{name}:{value}") for name, value in self.pairs]

    def with_pair(self, name: str, value: str) -> Filters:
        """Return the filters with one more."""
        return Filters(tuple(dict.fromkeys((*self.pairs, (name, value)))))

    def without(self, name: str, value: str) -> Filters:
        """Return the filters without one."""
        return Filters(tuple(each for each in self.pairs if each != (name, value)))

    @property
    def is_of_traces(self) -> bool:
        """Whether traces can be selected by all of them."""
        return all(name in TRACE_TERMS for name in self.by_name)


NO_FILTERS: Final = Filters()


def filters_of(parameters: QueryParams) -> Filters:
    """Return the filters of a query string.

    Raises:
        BadRequestError: a dimension does not exist, or there are too many filters.
    """
    texts = parameters.getlist("filter")
    if len(texts) > FILTERS_MAX:
        raise BadRequestError(f"filter: at most {FILTERS_MAX} are allowed", field="filter")
    found = Filters()
    for text in texts:
        name, sign, value = text.partition(":")
        found = found.with_pair(checked_name(name if sign else ""), value)
    return found


def checked_name(name: str) -> str:
    """Return the name of a dimension. Raises: BadRequestError: it does not exist."""
    if name not in NAMES:
        message = f"filter: {name[:64]!r} is not one of {', '.join(NAMES)}"
        raise BadRequestError(message, field="filter", allowed=NAMES)
    return name


def list_address(
    base: str, bounds_us: tuple[int, int], filters: Filters, *, order: str = "", more: str = ""
) -> str:
    """Return the address of the traces in a range, or of the observations.

    Observations are listed if filters do not apply to whole traces. ``more`` is another term of
    the search.
    """
    is_of_traces = filters.is_of_traces
    terms = TRACE_TERMS if is_of_traces else OBSERVATION_TERMS
    search = [_term(terms[name], value) for name, value in filters.pairs]
    query = {"from": iso(bounds_us[0]), "to": iso(bounds_us[1])}
    if text := " ".join([*search, *([more] if more else [])]):
        query["q"] = text
    if order:
        query["order"] = order
    page = "traces" if is_of_traces else "observations"
    return f"{base}/{page}?{urlencode(query, quote_via=quote)}"


def _term(field: str, value: str) -> str:
    text = term(field, value)
    # A name matches words of it after a colon, and only the same name after an equals sign.
    return text.replace(":", "=", 1) if field == "name" else text


def query_text(pairs: Sequence[tuple[str, str]]) -> str:
    """Return a query string."""
    return f"?{urlencode(pairs)}" if pairs else "?"
