"""Find the definitions in the modules of a package, and register them by unique name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")


class ByName(Mapping[str, T]):
    """Registered values by name."""

    def __init__(self, what: str, named: Iterable[tuple[str, T]]) -> None:
        """Register pairs of name and value; ``what`` is the plural of the values in error messages.

        Raises:
            ValueError: two of them have the same name.
        """
        self._registered: dict[str, T] = {}
        for name, value in named:
            if self._registered.setdefault(name, value) is not value:
                raise ValueError(f"two {what} are named {name!r}")

    def __getitem__(self, name: str) -> T:
        return self._registered[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._registered)

    def __len__(self) -> int:
        return len(self._registered)


def modules_in(package: ModuleType) -> Iterator[ModuleType]:
    """Import and yield the modules of a package, sorted by name."""
    for each in iter_modules(package.__path__, f"{package.__name__}."):
        yield import_module(each.name)


def subclasses_in(package: ModuleType, base: type[T]) -> Iterator[type[T]]:
    """Yield the subclasses of ``base`` that the modules of a package define."""
    for module in modules_in(package):
        for value in vars(module).values():
            is_defined_there = isinstance(value, type) and value.__module__ == module.__name__
            if is_defined_there and issubclass(value, base):
                yield value
