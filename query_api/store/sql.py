"""How a question becomes SQL: a text with named parameters, and never a value inside the text.

A question is a frozen dataclass below ``Question``; its tenant is the first field and has no default, so a query without one cannot be written.
Values reach the store beside the text and are bound there (``{name:Type}``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, Final, NamedTuple

Bindable = str | int | float | list[str] | list[int]

OF_PROJECT: Final = "project_id = {project_id:String}"
"""Stands in the WHERE of every table a question reads."""


class Sql(NamedTuple):
    text: str
    params: dict[str, Bindable]


@dataclass(slots=True)
class Binder:
    """Collects values and hands out the placeholders that stand for them."""

    params: dict[str, Bindable] = field(default_factory=dict)

    def bind(self, value: Bindable, type_name: str) -> str:
        name = f"p{len(self.params)}"
        self.params[name] = value
        return f"{{{name}:{type_name}}}"

    def text(self, value: str) -> str:
        return self.bind(value, "String")

    def texts(self, values: tuple[str, ...]) -> str:
        return self.bind(list(values), "Array(String)")

    def instant(self, at_us: int) -> str:
        return f"fromUnixTimestamp64Micro({self.bind(at_us, 'Int64')}, 'UTC')"


@dataclass(frozen=True, slots=True)
class Question(ABC):
    """One question about one project."""

    name: ClassVar[str]
    """For metrics and logs."""
    project_id: str

    def __post_init__(self) -> None:
        if not self.project_id:
            raise ValueError("a question needs its project")

    @abstractmethod
    def write(self, binder: Binder) -> str:
        """The text; every table in it is restricted by ``OF_PROJECT``."""

    def sql(self) -> Sql:
        binder = Binder({"project_id": self.project_id})
        text = self.write(binder)
        return Sql(text, binder.params)
