"""The data directory of an embedded installation: who may use it, and what its first run chose."""

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
from deploy.embedded.ports import LOOPBACK, free_ports, is_free, is_lasting, require_free, reserve
from deploy.errors import AlreadyRunningError, DeployError

DEFAULT_PUBLIC_PORT = 7700
BROKER_PORT_OFFSET = 9
"""From the public port to the one that the broker is given if it can have it."""
_LOCK = "lock"
_CONFIG = "config.json"


class InternalPorts(BaseModel):
    """Loopback ports. Only the broker's is known outside: to applications with the SDK."""

    model_config = ConfigDict(frozen=True)

    broker: int
    broker_controller: int
    store: int
    streams_metrics: int
    sink_metrics: int


class Installation(BaseModel):
    """What the first run chose and every later run finds again, kept as `config.json`."""

    model_config = ConfigDict(frozen=True)

    version: int = Field(default=1, le=1)
    public_port: int
    ports: InternalPorts


def is_new(data_dir: Path) -> bool:
    """Whether nobody has held the directory yet.

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
def held(data_dir: Path) -> Iterator[None]:
    """Hold the directory for this process alone, creating it if need be.

    The kernel releases the lock with the process, however it ends. Raises AlreadyRunningError,
    naming the process that holds it, or DeployError when the directory cannot be written.
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
        with contextlib.suppress(OSError):  # a full disk: the lock holds without the written number
            os.ftruncate(handle, 0)
            os.write(handle, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(handle)


def open_installation(
    data_dir: Path, *, public_port: int | None, host: str = LOOPBACK
) -> Installation:
    """The installation in `data_dir`, begun now if there is none; written back when it changed.

    An explicit `public_port` is remembered. Internal ports that somebody else took in the meantime
    are replaced. Raises PortInUseError, with nothing written, when the public port on `host` is taken.
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
    """Raises PortInUseError when one could not listen there now."""
    require_free(port, purpose="the public API", host=host)


def read_installation(data_dir: Path) -> Installation | None:
    """Read what the first run chose; None if there was no run yet.

    Raises:
        DeployError: the file exists and cannot be used.
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
            f"{path} is not the configuration of this version: {error.errors()[0]['msg']}"
        ) from error


def _choose_ports(found: InternalPorts | None, *, public_port: int) -> InternalPorts:
    """Those of the last run that can still be had, and others in the place of the rest."""
    ports = {
        name: port
        for name, port in (found or ())
        if port != public_port and is_free(port) and reserve(port)
    }
    usual = public_port + BROKER_PORT_OFFSET
    if (
        "broker" not in ports
        and usual not in ports.values()
        and is_lasting(usual)
        and reserve(usual)
    ):
        ports["broker"] = usual
    missing = [name for name in InternalPorts.model_fields if name not in ports]
    others = free_ports(len(missing), except_for={public_port, *ports.values()})
    return InternalPorts(**ports, **dict(zip(missing, others, strict=True)))
