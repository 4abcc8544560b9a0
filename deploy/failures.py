"""Which failures their reader can mend, the line that says how, and the exit code; all others are defects and keep their traceback."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError
from pydantic_settings import SettingsError

from clickhouse.errors import MigrationError, StoreError
from deploy.errors import EX_CONFIG, DeployError
from deploy.variables import mistakes
from producers.errors import InitError, ProducersError, TopicMismatchError
from streams.core.dead_letters.limit import TooManyDeadLettersError
from streams.errors import StreamsError

EXPECTED = (DeployError, StoreError, ProducersError, StreamsError, TooManyDeadLettersError)
NOT_BY_ITSELF = (
    ValidationError,
    SettingsError,
    MigrationError,
    TopicMismatchError,
    InitError,
)
"""Until somebody changes the settings, the same start fails again."""


def lines_for(error: BaseException) -> list[str]:
    """A line for each failure in ``error``; none if one of them is a defect."""
    lines: list[str] = []
    for leaf in _leaves(error):
        if isinstance(leaf, EXPECTED):
            said = [str(leaf) or type(leaf).__name__]
        elif isinstance(leaf, ValidationError | SettingsError):
            said = mistakes(leaf)
        else:
            said = []
        if not said:
            return []
        lines += said
    return list(dict.fromkeys(lines))


def exit_code_for(error: BaseException) -> int:
    """``EX_CONFIG`` where trying again is in vain, else what the error says, or 1."""
    leaves = list(_leaves(error))
    if any(isinstance(leaf, NOT_BY_ITSELF) for leaf in leaves):
        return EX_CONFIG
    return max(leaf.exit_code if isinstance(leaf, DeployError) else 1 for leaf in leaves)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error
