"""Generate valid hostile events: deep texts, huge counts, odd characters, extreme times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, TypeVar

import msgspec

from tracemill.contract import (
    COST_MAX_PICO,
    COUNT_MAX,
    Event,
    Observation,
    Score,
    TraceAttributes,
    TraceUpdate,
)

NOW_US = 1_795_046_400_000_000
DAY_US = 86_400_000_000
T = TypeVar("T")

MODELS = (
    "gpt-4o",
    "claude-sonnet-4-5",
    "m",
    "gold",
    "unknown",
    "a/" * 90 + "b",
    "\x00",
    "m" * 5_000,
)
TYPES = ("SPAN", "GENERATION", "EMBEDDING", "TOOL")
LEVELS = ("DEBUG", "DEFAULT", "WARNING", "ERROR")
ODD = (
    "",
    "\x00",
    "\U0001f600",
    "é",
    "\u2028",
    '"',
    "\\",
    "\x7f",
    "\ufffe",
    "'; DROP TABLE x; --",
    "null",
)


class HostileEvents:
    """A source of events; the same seed gives the same ones.

    Args:
        seed: decides everything.
        traces: in each of two projects.
        heavy: the share of events with something large in them.
    """

    def __init__(self, seed: int, traces: int = 30, heavy: float = 0.003) -> None:
        self._chance = Random(seed)
        self._heavy = heavy
        self._traces = [f"t{n}" for n in range(traces)]
        self._shapes: tuple[Callable[[], str], ...] = (
            lambda: self._nested("[", "]"),
            lambda: self._nested('{"a":', "}", "1"),
            lambda: self._nested('{"content":[', "]}"),
            self._chat,
            self._tools,
            self._object,
            self._object,
            self._odd,
            self._cut_json,
        )

    def take(self, count: int) -> list[Event]:
        return [self._event() for _ in range(count)]

    def _event(self) -> Event:
        chance = self._chance
        draw = chance.random()
        project_id = chance.choice(("p1", "p2"))
        trace_id = chance.choice(self._traces)
        ts_us = self._time()
        if draw < 0.1:
            return TraceUpdate(
                project_id=project_id,
                trace_id=trace_id,
                ts_us=ts_us,
                environment=self._maybe(self._name),
                trace=self._attributes(),
            )
        if draw < 0.15:
            return Score(
                project_id=project_id,
                id=f"s{chance.randrange(50)}",
                ts_us=ts_us,
                name=self._name() or "n",
                data_type="TEXT",
                value=chance.choice((None, 0.0, -1e308, 1e-320)),
                string_value=self._maybe(self._text),
                comment=self._maybe(self._text),
                metadata=self._maybe(self._text),
                trace_id=trace_id,
            )
        return self._observation(project_id, trace_id, ts_us)

    def _observation(self, project_id: str, trace_id: str, ts_us: int) -> Observation:
        chance = self._chance
        start_us = self._maybe(self._time)
        return Observation(
            project_id=project_id,
            trace_id=trace_id,
            id=f"o{chance.randrange(12)}"
            if chance.random() < 0.98
            else "o" * 2_000 + str(chance.randrange(3)),
            ts_us=ts_us,
            partial=chance.random() < 0.6,
            type=self._maybe(lambda: chance.choice(TYPES)),
            name=self._maybe(self._name),
            parent_id=self._maybe(lambda: f"o{chance.randrange(12)}"),
            environment=self._maybe(self._name),
            start_us=start_us,
            end_us=self._maybe(self._time),
            completion_start_us=self._maybe(self._time),
            level=self._maybe(lambda: chance.choice(LEVELS)),
            status_message=self._maybe(self._text),
            version=self._maybe(self._name),
            model=self._maybe(lambda: chance.choice(MODELS)),
            model_parameters=self._maybe(self._text),
            usage=self._maybe(lambda: self._amounts(COUNT_MAX)),
            cost=self._maybe(lambda: self._amounts(COST_MAX_PICO // 100), 0.8),
            input=self._maybe(self._text),
            output=self._maybe(self._text),
            metadata=self._maybe(self._text),
            prompt_name=self._maybe(self._name),
            prompt_version=self._maybe(lambda: chance.choice((0, 1, -(2**31), 2**31 - 1))),
            service_name=self._maybe(self._name),
            scope_name=self._maybe(self._name),
            scope_version=self._maybe(self._name),
            app_root=chance.random() < 0.1,
            app_entry=chance.random() < 0.1,
            trace=self._maybe(self._attributes),
        )

    def _attributes(self) -> TraceAttributes:
        chance = self._chance
        return TraceAttributes(
            name=self._maybe(self._name),
            user_id=self._maybe(self._name),
            session_id=self._maybe(self._name),
            release=self._maybe(self._name),
            public=self._maybe(lambda: chance.random() < 0.5),
            tags=self._maybe(
                lambda: tuple(self._name() for _ in range(chance.choice((0, 1, 3, 300))))
            ),
            metadata=self._maybe(self._text),
            input=self._maybe(self._text),
            output=self._maybe(self._text),
            start_us=self._maybe(self._time),
            external_id=self._maybe(self._name),
        )

    def _maybe(self, make: Callable[[], T], nothing: float = 0.6) -> T | None:
        return None if self._chance.random() < nothing else make()

    def _time(self) -> int:
        chance = self._chance
        if chance.random() < 0.02:
            return NOW_US + chance.choice((-3_600, -365, -1, 1)) * DAY_US
        return (
            NOW_US
            + chance.choice((-60_000_000, 0, 0, 1, 60_000_000, 900_000_000))
            + chance.randrange(50)
        )

    def _name(self) -> str:
        chance = self._chance
        if chance.random() < self._heavy:
            return chance.choice(ODD) * chance.choice((150, 900, 5_000, 200_000))
        return chance.choice((*ODD, "ann", "bob", f"n{chance.randrange(20)}"))

    def _amounts(self, largest: int) -> dict[str, int]:
        chance = self._chance
        types = chance.choice((0, 1, 2, 3, 70)) if chance.random() < 0.05 else chance.randrange(4)
        kinds = (
            "input",
            "output",
            "total",
            "cache_read",
            "odd",
            "\x00",
            f"k{chance.randrange(99)}",
        )
        amounts = {chance.choice(kinds): chance.choice((0, 1, 7, largest)) for _ in range(types)}
        return amounts | {f"k{n}": 1 for n in range(types if types > 3 else 0)}

    def _text(self) -> str:
        chance = self._chance
        text = chance.choice(self._shapes)()
        if chance.random() < self._heavy:
            return text[:2_000] * chance.choice((20, 200, 1_000))
        return text

    def _nested(self, opening: str, closing: str, inside: str = "") -> str:
        depth = self._chance.choice((1, 5, 16, 17, 63, 64, 65, 300, 900, 985, 1_200))
        return opening * depth + inside + closing * self._chance.choice((depth, depth, 0))

    def _chat(self) -> str:
        content: Any = self._chance.choice(("hi", ["x", {"text": "y"}], {"parts": []}, None, 5))
        return _json(
            [
                {
                    "role": "user",
                    "content": content,
                    "tool_calls": self._chance.choice((None, [{}], "x")),
                }
            ]
        )

    def _tools(self) -> str:
        tool = {
            "type": "function",
            "function": {"name": self._name(), "arguments": self._chance.choice(("{}", {}, None))},
        }
        return _json(
            self._chance.choice(
                (
                    {"tools": [tool]},
                    {"tool_calls": [tool]},
                    [tool],
                    {"attributes": {"gen_ai.tool.definitions": _json([tool])}},
                )
            )
        )

    def _object(self) -> str:
        chance = self._chance
        keys = 3_000 if chance.random() < self._heavy else chance.randrange(4)
        said: dict[str, Any] = {
            chance.choice(("a", "b", "c", f"k{n}", *ODD)): chance.choice(
                (
                    1,
                    True,
                    1.0,
                    -0.0,
                    2**63,
                    10**25,
                    None,
                    "x",
                    "",
                    [],
                    {},
                    {"b": 1},
                    {"b": {"c": [None]}},
                    [{"a": {}}],
                )
            )
            for n in range(keys)
        }
        return _json(said)

    def _odd(self) -> str:
        return self._chance.choice(
            (*ODD, '"\\ud800"', '{"a":1e999}', '{"a":' + "9" * 400 + "}", "tools", "[" * 3)
        )

    def _cut_json(self) -> str:
        return self._chat()[: self._chance.randrange(40)]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def in_random_groups(chance: Random, items: Sequence[T], largest: int) -> list[Sequence[T]]:
    groups, at = [], 0
    while at < len(items):
        size = chance.randint(1, largest)
        groups.append(items[at : at + size])
        at += size
    return groups
