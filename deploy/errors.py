"""What can go wrong while starting and keeping processes.

DeployError                 one line for the person at the terminal; the command exits with `exit_code`
├── DownloadError           an engine's files could not be fetched, or are not the pinned ones
├── EngineError             an embedded engine does not start or does not become ready
├── MisconfiguredError      a process cannot start with these settings, however often it tries
├── LogLostError            the log is not the one that the store was filled from
├── NotPreparedError        what `tracemill migrate` makes is not there
├── QuarantineError         a `tracemill quarantine` command failed
├── PortInUseError          somebody else listens there
└── AlreadyRunningError     another instance holds the data directory
"""

from __future__ import annotations

from typing import Final

EX_CONFIG: Final = 78
"""Exit code of whatever will not get better by itself (<sysexits.h>): a supervisor should not try again."""


class DeployError(Exception):
    """A failure that ends the command; `str()` is the one line to print."""

    exit_code = 1


class DownloadError(DeployError):
    """An engine's files could not be fetched, or are not the pinned ones."""


class EngineError(DeployError):
    """An embedded engine does not start or does not become ready."""


class MisconfiguredError(DeployError):
    """A process says that it cannot start with these settings."""

    exit_code = EX_CONFIG


class LogLostError(DeployError):
    """The log is not the one that the store was filled from, or lost its end.

    `tracemill recover` rebuilds it from the store.
    """

    exit_code = EX_CONFIG


class NotPreparedError(DeployError):
    """What `tracemill migrate` makes is not there, or the engines do not answer."""


class PortInUseError(DeployError):
    """Another process listens on a port that is needed."""


class AlreadyRunningError(DeployError):
    """Another instance holds the data directory."""


class QuarantineError(DeployError):
    """A `tracemill quarantine` command failed; the message names the reason."""


class OutputError(DeployError):
    """What a command prints cannot be written."""
