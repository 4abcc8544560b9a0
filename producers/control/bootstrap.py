"""The first project and its key, so that a fresh installation takes events at once."""

from __future__ import annotations

import contextlib
import hashlib
import time

import structlog

from producers.control.keys import key_of_public_key, new_api_key, secret_matches
from producers.control.kinds.api_key import ApiKey
from producers.control.kinds.project import Project
from producers.control.log import ControlLog
from producers.control.view import ControlView
from producers.errors import ControlConflictError, InitError
from producers.settings import InitSettings

log = structlog.get_logger(__name__)


async def bootstrap(control: ControlLog, init: InitSettings) -> None:
    """Make the first project and key. Safe to repeat, also by several processes at once.

    Defaults are written only while the control plane has neither a project nor a key. Later only what was set explicitly counts: a secret replaces that of the
    key it goes with, and a public key that is new becomes another key if its secret is given with it.

    Raises:
        ControlConflictError: the public key belongs to another project.
        InitError: the settings name a key or a project that is not there, and do not say all that is needed to make it.
        ControlUnavailableError: the log did not answer in time.
    """
    view = control.view
    named = init.model_fields_set
    is_fresh = not view[Project] and not view[ApiKey]
    key = first_key(view, init)
    if key is None and (is_fresh or {"public_key", "secret_key"} <= named):
        key = await _create_key(control, init, _project_of_new_key(view, init))
    elif key is None and named:
        message = "no key is as TRACEMILL_INIT_* say: to add one, set both TRACEMILL_INIT_PUBLIC_KEY and TRACEMILL_INIT_SECRET_KEY"
        raise InitError(message)
    elif key is not None and "project_id" in named and key.project_id != init.project_id:
        message = f"public key {key.public_key} belongs to project {key.project_id}"
        raise ControlConflictError(message)
    elif key is not None and "secret_key" in named:
        await _enforce_secret(control, key, init)
    # The key comes first: whoever dies between the two leaves a key whose project the next run makes.
    if key is not None and key.project_id not in view[Project]:
        project = Project(id=key.project_id, name=key.project_id, created_us=_now_us())
        with contextlib.suppress(ControlConflictError):  # another process was quicker
            await control.create(project)
            log.info("project created", project=project.id)


def first_key(view: ControlView, init: InitSettings) -> ApiKey | None:
    """The key that the settings speak of: the one they name, else the oldest (of the project that they name)."""
    if "public_key" in init.model_fields_set:
        return key_of_public_key(view, init.public_key)
    any_project = "project_id" not in init.model_fields_set
    keys = [
        key for key in view[ApiKey].values() if any_project or key.project_id == init.project_id
    ]
    return min(keys, key=lambda key: (key.created_us, key.id), default=None)


def _project_of_new_key(view: ControlView, init: InitSettings) -> str:
    """The project that is named, else the only one there is."""
    if "project_id" in init.model_fields_set or not view[Project]:
        return init.project_id
    if len(view[Project]) > 1:
        message = (
            "there are several projects: set TRACEMILL_INIT_PROJECT_ID to say whose the new key is"
        )
        raise InitError(message)
    return next(iter(view[Project]))


async def _create_key(control: ControlLog, init: InitSettings, project_id: str) -> ApiKey:
    key = new_api_key(
        # One id per public key: two processes that start together make one key.
        key_id=f"init-{hashlib.sha256(init.public_key.encode()).hexdigest()[:16]}",
        project_id=project_id,
        public_key=init.public_key,
        secret=init.secret_key.get_secret_value(),
        created_us=_now_us(),
        note="from TRACEMILL_INIT_*",
    )
    with contextlib.suppress(ControlConflictError):
        await control.create(key)
        log.info("key created", public_key=key.public_key)
    return key


async def _enforce_secret(control: ControlLog, known: ApiKey, init: InitSettings) -> None:
    secret = init.secret_key.get_secret_value()
    if secret_matches(known, secret.encode()):
        return
    key = new_api_key(
        key_id=known.id,
        project_id=known.project_id,
        public_key=known.public_key,
        secret=secret,
        created_us=known.created_us,
        note=known.note,
    )
    await control.put(key)
    log.info("secret of the first key replaced", public_key=key.public_key)


def _now_us() -> int:
    return time.time_ns() // 1000
