"""The first project and its key, so that a fresh installation takes events at once."""

from __future__ import annotations

import contextlib
import hashlib
import time

import structlog

from producers.control.keys import new_api_key, secret_matches
from producers.control.log import ControlLog
from producers.control.records import Project
from producers.errors import ControlConflictError
from producers.settings import InitSettings

log = structlog.get_logger(__name__)


async def bootstrap(control: ControlLog, init: InitSettings) -> None:
    """Make the project and the key of the settings exist. Safe to repeat, also by several processes at once.

    A key that exists with another secret takes the one of the settings.

    Raises:
        ControlConflictError: the public key belongs to another project.
        ControlUnavailableError: the log did not answer in time.
    """
    created_us = time.time_ns() // 1000
    if init.project_id not in control.view.projects:
        project = Project(id=init.project_id, name=init.project_id, created_us=created_us)
        with contextlib.suppress(ControlConflictError):  # another process was quicker
            await control.create(project)
            log.info("project created", project=project.id)
    secret = init.secret_key.get_secret_value()
    known = control.view.api_key_of_public_key.get(init.public_key)
    if known is not None and known.project_id != init.project_id:
        message = f"public key {init.public_key} belongs to project {known.project_id}"
        raise ControlConflictError(message)
    if known is not None and secret_matches(known, secret.encode()):
        return
    key = new_api_key(
        # One id per public key: two processes that start together make one key.
        key_id=known.id
        if known
        else f"init-{hashlib.sha256(init.public_key.encode()).hexdigest()[:16]}",
        project_id=init.project_id,
        public_key=init.public_key,
        secret=secret,
        created_us=known.created_us if known else created_us,
        note="from TRACEMILL_INIT_*",
    )
    if known is not None:
        await control.put(key)
        log.info("secret of the first key replaced", public_key=key.public_key)
        return
    with contextlib.suppress(ControlConflictError):
        await control.create(key)
        log.info("key created", public_key=key.public_key)
