"""What can go wrong while starting and keeping processes.

DeployError                 one line for the person at the terminal; the command exits with `exit_code`
├── DownloadError           an engine's files could not be fetched, or are not the pinned ones
├── EngineError             an embedded engine does not start or does not become ready
├── NotPreparedError        what `tracemill migrate` makes is not there
├── PortInUseError          somebody else listens there
└── AlreadyRunningError     another instance holds the data directory
"""


class DeployError(Exception):
    """A failure that ends the command; `str()` is the one line to print."""

    exit_code = 1


class DownloadError(DeployError):
    """An engine's files could not be fetched, or are not the pinned ones."""


class EngineError(DeployError):
    """An embedded engine does not start or does not become ready."""


class NotPreparedError(DeployError):
    """What `tracemill migrate` makes is not there, or the engines do not answer."""


class PortInUseError(DeployError):
    """Another process listens on a port that is needed."""


class AlreadyRunningError(DeployError):
    """Another instance holds the data directory."""
