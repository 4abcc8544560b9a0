"""Which failures their reader can mend, and the line that says how; all others are defects and keep their traceback."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError
from pydantic_settings import SettingsError

from clickhouse.errors import StoreError
from deploy.errors import DeployError
from deploy.variables import mistakes
from producers.errors import ProducersError
from streams.core.dead_letters import TooManyDeadLettersError
from streams.errors import StreamsError

EXPECTED = (DeployError, StoreError, ProducersError, StreamsError, TooManyDeadLettersError)


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


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error
