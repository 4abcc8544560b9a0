"""Convert expected errors to lines for the terminal and an exit code.

All other errors are defects, which are shown with their traceback.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError
from pydantic_settings import SettingsError

from clickhouse.errors import MigrationError, StoreError
from deploy.errors import EX_CONFIG, DeployError
from deploy.variables import invalid_variables
from producers.errors import InitError, ProducersError, TopicMismatchError
from streams.core.dead_letters.limit import TooManyDeadLettersError
from streams.errors import StreamsError

EXPECTED_ERRORS = (DeployError, StoreError, ProducersError, StreamsError, TooManyDeadLettersError)
PERMANENT_ERRORS = (
    ValidationError,
    SettingsError,
    MigrationError,
    TopicMismatchError,
    InitError,
)
"""Errors that occur at every start until the settings are changed."""


def lines_for(error: BaseException) -> list[str]:
    """Return a line for each error; no lines if one of them is a defect.

    The errors are ``error`` itself, or those that it contains as an exception group.
    """
    lines: list[str] = []
    for leaf in _leaves(error):
        if isinstance(leaf, EXPECTED_ERRORS):
            messages = [str(leaf) or type(leaf).__name__]
        elif isinstance(leaf, ValidationError | SettingsError):
            messages = invalid_variables(leaf)
        else:
            messages = []
        if not messages:
            return []
        lines += messages
    return list(dict.fromkeys(lines))


def exit_code_for(error: BaseException) -> int:
    """Return ``EX_CONFIG`` if a restart cannot help, or else the error's own exit code, or 1."""
    leaves = list(_leaves(error))
    if any(isinstance(leaf, PERMANENT_ERRORS) for leaf in leaves):
        return EX_CONFIG
    return max(leaf.exit_code if isinstance(leaf, DeployError) else 1 for leaf in leaves)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error
