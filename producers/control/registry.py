"""The registry of the kinds of control records.

A module in ``producers.control.kinds`` defines a kind as a subclass of ``ControlRecord``. The log,
its view, the copy in the store and the recovery use only the interface of ``ControlRecord``.
"""

from __future__ import annotations

import re
from typing import Final

from pydantic import Secret, SecretBytes, SecretStr

from producers.control import kinds
from producers.control.record import ControlRecord
from producers.registration import ByName, subclasses_in

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


class ControlKinds(ByName[type[ControlRecord]]):
    """Kinds of control records by name."""

    def __init__(self, *records: type[ControlRecord]) -> None:
        """Register kinds of control records.

        Raises:
            TypeError: a kind has no valid name, or a field that the log cannot store.
            ValueError: two kinds have the same name.
        """
        for record in records:
            _check(record)
        super().__init__("kinds of control records", ((each.kind, each) for each in records))

    def including(self, *records: type[ControlRecord]) -> ControlKinds:
        """Return a registry with additional kinds."""
        return ControlKinds(*self.values(), *records)


def _check(record: type[ControlRecord]) -> None:
    name = getattr(record, "kind", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise TypeError(f"{record.__name__}.kind must be a name in snake case, not {name!r}")
    for field, info in record.model_fields.items():
        # Pydantic serializes these as asterisks.
        if isinstance(info.annotation, type) and issubclass(
            info.annotation, SecretStr | SecretBytes | Secret
        ):
            raise TypeError(
                f"{record.__name__}.{field}: the log needs the value itself;"
                " declare it as Annotated[str, SecretField()]"
            )


KINDS: Final = ControlKinds(*subclasses_in(kinds, ControlRecord))
"""All kinds of this version."""
