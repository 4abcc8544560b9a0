"""Define the errors of commands and of the supervisor.

DeployError                 ends the command with one line on the terminal and `exit_code`
├── DownloadError           the broker's files could not be fetched, or are not the pinned ones
├── EngineError             an engine cannot be used, does not start or does not become ready
├── InvalidArgumentError    an argument cannot be used, such as a file that cannot be read
├── MisconfiguredError      a process cannot start with these settings
├── LogLostError            the log is not the one that the store was filled from
├── RefusedError            the API refuses a request
├── ApiUnavailableError     the API does not respond, or requests may succeed later
├── WaitTimeoutError        a command has waited for longer than its timeout
├── NotPreparedError        the engines do not respond, or `tracemill migrate` has not run
├── QuarantineError         a `tracemill quarantine` command failed
├── PortInUseError          another process listens on a port that is needed
├── OutputError             standard output cannot be written
└── AlreadyRunningError     another instance has locked the data directory
"""

from __future__ import annotations

from typing import Final

EX_USAGE: Final = 2
"""Exit code for invalid options and arguments, as of click."""
EX_CONFIG: Final = 78
"""Exit code for errors that a restart cannot fix (<sysexits.h>)."""
EX_WAIT_TIMEOUT: Final = 124
"""Exit code of a command that has waited for too long, as of timeout(1)."""


class DeployError(Exception):
    """An error that ends the command; `str()` is the line to print."""

    exit_code = 1


class DownloadError(DeployError):
    """The broker's files could not be fetched, or are not the pinned ones."""


class EngineError(DeployError):
    """An engine cannot be used, does not start or does not become ready."""


class InvalidArgumentError(DeployError):
    """An argument of a command cannot be used, such as a file that cannot be read."""

    exit_code = EX_USAGE


class MisconfiguredError(DeployError):
    """A process cannot start with these settings."""

    exit_code = EX_CONFIG


class LogLostError(DeployError):
    """The log is not the one that the store was filled from, or its last records are missing.

    `tracemill recover` rebuilds the log from the store.
    """

    exit_code = EX_CONFIG


class RefusedError(DeployError):
    """The API refuses a request."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status; 0 if there is none."""


class ApiUnavailableError(DeployError):
    """The API does not respond, or the request may succeed later."""

    def __init__(self, message: str, status: int = 0, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status; 0 if there is no response."""
        self.retry_after_s = retry_after_s
        """Time after which to try again; None if the server has not named one."""


class WaitTimeoutError(DeployError):
    """A command has waited for longer than its timeout."""

    exit_code = EX_WAIT_TIMEOUT


class NotPreparedError(DeployError):
    """The engines do not respond, or `tracemill migrate` has not run."""


class PortInUseError(DeployError):
    """Another process listens on a port that is needed."""


class AlreadyRunningError(DeployError):
    """Another instance has locked the data directory."""


class QuarantineError(DeployError):
    """A `tracemill quarantine` command failed; the message gives the reason."""


class OutputError(DeployError):
    """Standard output cannot be written."""
