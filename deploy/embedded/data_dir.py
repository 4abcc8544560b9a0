"""Lock the data directory of an installation, and choose and store its ports."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deploy.embedded.credentials import make_private
from deploy.embedded.files import replace_if_changed
from deploy.embedded.ports import (
    LOOPBACK,
    free_ports,
    is_free,
    is_free_and_not_ephemeral,
    require_free,
    reserve,
)
from deploy.errors import AlreadyRunningError, DeployError

DEFAULT_PUBLIC_PORT = 7700
BROKER_PORT_OFFSET = 9
"""Difference between the broker's port and the public port, if that port is free."""
_LOCK = "lock"
_CONFIG = "config.json"


class InternalPorts(BaseModel):
    """Loopback ports of the engines and roles; applications only use the broker's, with the SDK."""

    model_config = ConfigDict(frozen=True)

    broker: int
    broker_controller: int
    store: int
    streams_metrics: int
    sink_metrics: int


class Installation(BaseModel):
    """The configuration that the first run chooses and later runs use, stored as `config.json`."""

    model_config = ConfigDict(frozen=True)

    version: int = Field(default=1, le=1)
    public_port: int
    ports: InternalPorts


def is_new(data_dir: Path) -> bool:
    """Return whether no process has ever locked the directory.

    Raises:
        DeployError: the directory cannot be read.
    """
    try:
        return not (data_dir / _LOCK).exists()
    except OSError as error:
        raise _unusable(data_dir, error) from error


def _unusable(data_dir: Path, error: OSError) -> DeployError:
    return DeployError(f"cannot use the data directory {data_dir}: {error.strerror}")


@contextmanager
def data_dir_lock(data_dir: Path) -> Iterator[None]:
    """Lock the directory while the block runs; create it if necessary.

    The kernel releases the lock when the process ends, even after a crash.

    Raises:
        AlreadyRunningError: another process has locked it; the message contains its process id.
        DeployError: the directory cannot be written.
    """
    try:
        make_private(data_dir)
        handle = os.open(data_dir / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise _unusable(data_dir, error) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.read(handle, 32).decode().strip() or "unknown"
            raise AlreadyRunningError(f"already running on {data_dir} (process {pid})") from error
        with contextlib.suppress(OSError):  # on a full disk, lock without the process id
            os.ftruncate(handle, 0)
            os.write(handle, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(handle)


def open_installation(
    data_dir: Path, *, public_port: int | None, host: str = LOOPBACK
) -> Installation:
    """Read the installation in `data_dir`, or create it; write it if it has changed.

    An explicit `public_port` is stored for later runs. Internal ports that are now used by another
    process are replaced.

    Raises:
        PortInUseError: the public port on `host` is in use; nothing was written.
        DeployError: the stored configuration cannot be used.
    """
    path = data_dir / _CONFIG
    found = read_installation(data_dir)
    port = public_port or (found.public_port if found else DEFAULT_PUBLIC_PORT)
    require_public_port(port, host)
    installation = Installation(
        public_port=port, ports=_choose_ports(found.ports if found else None, public_port=port)
    )
    if installation != found:
        replace_if_changed(path, installation.model_dump_json(indent=2) + "\n")
    return installation


def require_public_port(port: int, host: str) -> None:
    """Raise PortInUseError if a server could not listen on the public port now."""
    require_free(port, purpose="the public API", host=host)


def read_installation(data_dir: Path) -> Installation | None:
    """Read the installation in `data_dir`; None if there is none.

    Raises:
        DeployError: its file exists but cannot be used.
    """
    path = data_dir / _CONFIG
    try:
        return Installation.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DeployError(f"cannot read {path}: {error.strerror}") from error
    except ValidationError as error:
        raise DeployError(
            f"{path} cannot be used by this version: {error.errors()[0]['msg']}"
        ) from error


def _choose_ports(found: InternalPorts | None, *, public_port: int) -> InternalPorts:
    """Return the ports of the last run that are still free, and new ones instead of the others."""
    ports = {
        name: port
        for name, port in (found or ())
        if port != public_port and is_free(port) and reserve(port)
    }
    default_port = public_port + BROKER_PORT_OFFSET
    if (
        "broker" not in ports
        and default_port not in ports.values()
        and is_free_and_not_ephemeral(default_port)
        and reserve(default_port)
    ):
        ports["broker"] = default_port
    missing = [name for name in InternalPorts.model_fields if name not in ports]
    new_ports = free_ports(len(missing), except_for={public_port, *ports.values()})
    return InternalPorts(**ports, **dict(zip(missing, new_ports, strict=True)))
