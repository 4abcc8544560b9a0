"""Create the first project and its key, so that a new installation accepts events at once."""

from __future__ import annotations

import contextlib
import hashlib
import secrets

import structlog

from producers.control.keys import key_of_public_key, new_api_key, secret_matches, with_secret
from producers.control.kinds.api_key import ApiKey
from producers.control.kinds.project import Project
from producers.control.log import ControlLog
from producers.control.record import new_project_id
from producers.control.view import ControlView
from producers.errors import ControlConflictError, InitError
from producers.settings import InitSettings
from tracemill.clock import now_us

log = structlog.get_logger(__name__)


async def bootstrap(control: ControlLog, init: InitSettings) -> None:
    """Create the first project and its key.

    It can be repeated, also by several processes at the same time. The default settings are used
    only if there are no projects and keys. Otherwise only variables that are set explicitly have an
    effect: a secret replaces the secret of ``first_key``, and a new public key with a secret adds a
    key.

    Raises:
        ControlConflictError: the public key belongs to another project.
        InitError: the settings name a key or a project that does not exist, and are insufficient to
            create it.
        ControlUnavailableError: the log was not written or read in time.
    """
    view = control.view
    named = init.model_fields_set
    is_fresh = not view[Project] and not view[ApiKey]
    key = first_key(view, init)
    if key is None and (is_fresh or {"public_key", "secret_key"} <= named):
        key = await _create_key(control, init, _project_of_new_key(view, init))
    elif key is None and named:
        raise InitError(
            "no key matches TRACEMILL_INIT_*; to add one, set both TRACEMILL_INIT_PUBLIC_KEY and "
            "TRACEMILL_INIT_SECRET_KEY"
        )
    elif key is not None and "project_id" in named and key.project_id != init.project_id:
        message = f"public key {key.public_key} belongs to project {key.project_id}"
        raise ControlConflictError(message)
    elif key is not None and "secret_key" in named:
        await _enforce_secret(control, key, init)
    # The key is written first: if a crash follows, the next run creates its project.
    if key is not None and key.project_id not in view[Project]:
        project = Project(
            id=key.project_id, name=_free_name(view, key.project_id), created_us=now_us()
        )
        with contextlib.suppress(ControlConflictError):  # another process was first
            await control.create(project)
            log.info("project created", project=project.id)


def first_key(view: ControlView, init: InitSettings) -> ApiKey | None:
    """Return the key that the settings name, or else the oldest key (of the project they name)."""
    if "public_key" in init.model_fields_set:
        return key_of_public_key(view, init.public_key)
    any_project = "project_id" not in init.model_fields_set
    keys = [
        key for key in view[ApiKey].values() if any_project or key.project_id == init.project_id
    ]
    return min(keys, key=lambda key: (key.created_us, key.id), default=None)


def _project_of_new_key(view: ControlView, init: InitSettings) -> str:
    """Return the project that the settings name, or else the only project.

    Raises:
        InitError: there are several projects, and the settings name none.
    """
    if "project_id" in init.model_fields_set or not view[Project]:
        return init.project_id
    if len(view[Project]) > 1:
        message = "there are several projects: set TRACEMILL_INIT_PROJECT_ID to that of the new key"
        raise InitError(message)
    return next(iter(view[Project]))


def _free_name(view: ControlView, project_id: str) -> str:
    """Return a name for a new project: its id, or a variant of it if that name is taken."""
    taken = view.by_unique_key(Project, f"name:{project_id}") is not None
    return f"{project_id} {secrets.token_hex(4)}" if taken else project_id


async def _create_key(control: ControlLog, init: InitSettings, project_id: str) -> ApiKey:
    project = control.view[Project].get(project_id)
    if project is not None and project.state != "active":
        message = f"project {project_id} was deleted: set another TRACEMILL_INIT_PROJECT_ID"
        raise InitError(message)
    if project is None:
        try:
            new_project_id(project_id)
        except ValueError as error:
            raise InitError(f"TRACEMILL_INIT_PROJECT_ID: {error}") from error
    key = new_api_key(
        # The id depends on the public key only, so that two processes create the same key.
        key_id=f"init-{hashlib.sha256(init.public_key.encode()).hexdigest()[:16]}",
        project_id=project_id,
        public_key=init.public_key,
        secret=init.secret_key.get_secret_value(),
        created_us=now_us(),
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
    await control.update(ApiKey, known.id, lambda key: with_secret(key, secret))
    log.info("secret of the first key replaced", public_key=known.public_key)
