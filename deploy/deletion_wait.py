"""Wait until a project is deleted, and show the progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from deploy.errors import ApiUnavailableError, RefusedError, WaitTimeoutError

if TYPE_CHECKING:
    from deploy.admin_client import AdminClient

POLL_INTERVAL_S: Final = 1.0

UNKNOWN_ROWS: Final = "rows left: unknown, the store does not answer"
NO_ROWS: Final = "no rows left; they are checked again before the deletion is complete"


def progress_of(project: Mapping[str, Any]) -> str:
    """Describe the progress of deleting a project; empty if it is not being deleted."""
    if project.get("state") != "deleting":
        return ""
    left = project.get("rows_left")
    if not isinstance(left, dict):
        return UNKNOWN_ROWS
    tables = {name: rows for name, rows in left.items() if isinstance(rows, int) and rows}
    if not tables:
        return NO_ROWS
    each = ", ".join(f"{name} {rows:,}" for name, rows in tables.items())
    return f"{sum(tables.values()):,} rows left ({each})"


def wait_until_deleted(
    client: AdminClient,
    project_id: str,
    path: tuple[str, ...],
    timeout_s: float,
) -> dict[str, Any]:
    """Wait until a project is deleted and return it; print the progress to standard error.

    While the API does not respond, requests are repeated until ``timeout_s``.

    Raises:
        WaitTimeoutError: the project is still being deleted after ``timeout_s``.
        RefusedError: the API refuses the request, or the project is not being deleted.
    """
    end_s, printed = time.monotonic() + timeout_s, ""
    while True:
        try:
            project = client.record("GET", path)
        except ApiUnavailableError as error:
            state, progress = "deleting", str(error)
        else:
            state, progress = str(project.get("state")), progress_of(project)
            if state == "deleted":
                return project
        if state != "deleting":
            raise RefusedError(f"project {project_id} is {state}, and is not being deleted")
        if progress != printed:
            printed = progress
            print(f"{project_id}: {progress}", file=sys.stderr, flush=True)
        left_s = end_s - time.monotonic()
        if left_s <= 0:
            raise WaitTimeoutError(
                f"project {project_id} is not deleted after {timeout_s:g} s: {progress}. The"
                f" deletion continues; `tracemill projects show {project_id}` shows its state"
            )
        time.sleep(min(POLL_INTERVAL_S, left_s))
