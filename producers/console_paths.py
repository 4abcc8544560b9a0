"""Define the paths of the console's pages, to which links in messages lead, too."""

from __future__ import annotations

from urllib.parse import quote


def project_path(project_id: str, *segments: str) -> str:
    """Return the path of a page of a project. Ids among the segments may contain any characters."""
    encoded = (quote(each, safe="") for each in (project_id, *segments))
    return "/".join(("/project", *encoded))
