"""The registry of jobs: which kinds there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Final

from streams.jobs import kinds
from streams.jobs.kind import JobKind


class JobKinds(Mapping[str, type[JobKind[Any]]]):
    """Kinds by name."""

    def __init__(self, *registered: type[JobKind[Any]]) -> None:
        """Register kinds.

        Raises:
            ValueError: two kinds have the same name.
        """
        self._kinds: dict[str, type[JobKind[Any]]] = {}
        for kind in registered:
            if self._kinds.setdefault(kind.name, kind) is not kind:
                raise ValueError(f"two kinds of jobs are named {kind.name!r}")

    def __getitem__(self, name: str) -> type[JobKind[Any]]:
        return self._kinds[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)


def _defined_kinds() -> JobKinds:
    """Return the kinds that the modules of ``streams.jobs.kinds`` define."""
    found: list[type[JobKind[Any]]] = []
    for each in iter_modules(kinds.__path__, f"{kinds.__name__}."):
        module = import_module(each.name)
        found.extend(
            value
            for value in vars(module).values()
            if isinstance(value, type)
            and issubclass(value, JobKind)
            and value.__module__ == each.name
        )
    return JobKinds(*found)


KINDS: Final = _defined_kinds()
"""All kinds of this version."""
