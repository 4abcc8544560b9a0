"""The data directory of an embedded installation: who may use it, and what its first run chose."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deploy.embedded.ports import free_ports, is_free
from deploy.errors import AlreadyRunningError, DeployError

DEFAULT_PUBLIC_PORT = 7700


class InternalPorts(BaseModel):
    """Loopback ports that only our own processes use."""

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


@contextmanager
def held(data_dir: Path) -> Iterator[None]:
    """Hold the directory for this process alone, creating it if need be.

    The kernel releases the lock with the process, however it ends. Raises AlreadyRunningError,
    naming the process that holds it, or DeployError when the directory cannot be written.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        handle = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise DeployError(f"cannot use the data directory {data_dir}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.read(handle, 32).decode().strip() or "unknown"
            raise AlreadyRunningError(f"already running on {data_dir} (process {pid})") from error
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(handle)


def open_installation(data_dir: Path, *, public_port: int | None) -> Installation:
    """The installation in `data_dir`, begun now if there is none; written back when it changed.

    An explicit `public_port` is remembered. Internal ports that somebody else took in the meantime
    are replaced: nobody outside knows them.
    """
    path = data_dir / "config.json"
    found = _read(path)
    installation = Installation(
        public_port=public_port or (found.public_port if found else DEFAULT_PUBLIC_PORT),
        ports=found.ports if found and _all_free(found.ports) else _choose_ports(),
    )
    if installation != found:
        staged = path.with_suffix(".new")
        staged.write_text(installation.model_dump_json(indent=2) + "\n", encoding="utf-8")
        staged.replace(path)
    return installation


def _read(path: Path) -> Installation | None:
    try:
        return Installation.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise DeployError(
            f"{path} is not the configuration of this version: {error.errors()[0]['msg']}"
        ) from error


def _all_free(ports: InternalPorts) -> bool:
    return all(is_free(port) for port in ports.model_dump().values())


def _choose_ports() -> InternalPorts:
    names = InternalPorts.model_fields
    return InternalPorts(**dict(zip(names, free_ports(len(names)), strict=True)))
