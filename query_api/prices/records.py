"""Find the prices that can apply to the calls of a project."""

from __future__ import annotations

from producers.control.kinds.price import Price
from producers.control.view import ControlView


def prices_of(view: ControlView, project_id: str) -> list[Price]:
    """Return the prices of a project and those of the installation."""
    return [
        *view.in_project(Price, project_id).values(),
        *view.in_project(Price, None).values(),
    ]
