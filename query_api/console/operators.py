"""Decide who may see the operation of the whole installation."""

from __future__ import annotations

from producers.control.kinds.project import Project
from query_api.console.page import View


def sees_installation(view: View) -> bool:
    """Return whether a viewer may see what concerns the data of all projects.

    If there is only one project, all data belongs to it. Otherwise, a setting names the projects of
    operators, whose keys need the scope ``admin``.
    """
    named = [each.strip() for each in view.settings.operator_projects.split(",")]
    if view.project_id in named:
        return view.may("admin")
    projects = view.context.control.view[Project].values()
    others = [each for each in projects if each.id != view.project_id and each.state != "deleted"]
    return not others and not any(named)
