"""The registry of control records: which kinds there are.

A module in ``producers.control.kinds`` defines a kind by a subclass of ``ControlRecord``; the log,
its view, the copy in the store and the recovery from it read everything else from that class.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Final

from pydantic import Secret, SecretBytes, SecretStr

from producers.control import kinds
from producers.control.record import ControlRecord

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


class ControlKinds(Mapping[str, type[ControlRecord]]):
    """Kinds by name."""

    def __init__(self, *records: type[ControlRecord]) -> None:
        """Register kinds.

        Raises:
            TypeError: a kind has no valid name, or a field that the log cannot keep.
            ValueError: two kinds have the same name.
        """
        self._records: dict[str, type[ControlRecord]] = {}
        for record in records:
            _check(record)
            if self._records.setdefault(record.kind, record) is not record:
                raise ValueError(f"two kinds of control records are named {record.kind!r}")

    def __getitem__(self, kind: str) -> type[ControlRecord]:
        return self._records[kind]

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def including(self, *records: type[ControlRecord]) -> ControlKinds:
        """Return these kinds and others."""
        return ControlKinds(*self._records.values(), *records)


def _check(record: type[ControlRecord]) -> None:
    name = getattr(record, "kind", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise TypeError(f"{record.__name__}.kind must be a name in snake case, it is {name!r}")
    for field, info in record.model_fields.items():
        # Pydantic writes these as asterisks.
        if isinstance(info.annotation, type) and issubclass(
            info.annotation, SecretStr | SecretBytes | Secret
        ):
            raise TypeError(
                f"{record.__name__}.{field}: the log needs the value itself;"
                " declare it as Annotated[str, SecretField()]"
            )


def _defined_kinds() -> ControlKinds:
    """Return the kinds that the modules of ``producers.control.kinds`` define."""
    found: list[type[ControlRecord]] = []
    for each in iter_modules(kinds.__path__, f"{kinds.__name__}."):
        module = import_module(each.name)
        found.extend(
            value
            for value in vars(module).values()
            if isinstance(value, type)
            and issubclass(value, ControlRecord)
            and value.__module__ == each.name
        )
    return ControlKinds(*found)


KINDS: Final = _defined_kinds()
"""All kinds of this version."""
