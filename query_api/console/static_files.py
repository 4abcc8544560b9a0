"""Serve the style sheet and the scripts, compressed, under names that contain their hash."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

import cramjam
from starlette.requests import Request
from starlette.responses import Response

from query_api.errors import NotFoundError

PREFIX: Final = "/console/static"
PACKAGES_DIRECTORY: Final = Path(__file__).parent / "packages"
"""Files of npm packages; ``deploy.assets.install`` places them here."""
_DIRECTORIES: Final = (Path(__file__).parent / "static", PACKAGES_DIRECTORY)
_HASH_CHARS: Final = 12
_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
    }
)
_HEADERS: Final = {
    "cache-control": "public, max-age=31536000, immutable",
    "x-content-type-options": "nosniff",
    "vary": "Accept-Encoding",
}


@dataclass(frozen=True, slots=True)
class StaticFile:
    media_type: str
    content: Mapping[str, bytes]
    """The content by encoding; ``identity`` is the file itself."""


@cache
def static_files() -> Mapping[str, StaticFile]:
    """Return all files by the names under which they are served."""
    return MappingProxyType(
        {
            _served_name(path): StaticFile(_TYPES[path.suffix], _encoded(path.read_bytes()))
            for directory in _DIRECTORIES
            for path in sorted(directory.glob("*"))
            if path.suffix in _TYPES
        }
    )


@cache
def static_path(name: str) -> str:
    """Return the path under which a file is served.

    Empty: it is a file of an npm package that has not been fetched.
    """
    for path in (directory / name for directory in _DIRECTORIES):
        if path.exists():
            return f"{PREFIX}/{_served_name(path)}"
    return ""


async def serve_static(request: Request) -> Response:
    """Return a file; browsers may keep it forever.

    Raises:
        NotFoundError: there is no such file.
    """
    file = static_files().get(request.path_params["name"])
    if file is None:
        raise NotFoundError("no such file")
    accepted = request.headers.get("accept-encoding", "")
    encoding = next((each for each in ("br", "gzip") if each in accepted), "identity")
    headers = dict(_HEADERS)
    if encoding != "identity":
        headers["content-encoding"] = encoding
    return Response(file.content[encoding], media_type=file.media_type, headers=headers)


def _served_name(path: Path) -> str:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:_HASH_CHARS]
    return f"{path.stem}.{digest}{path.suffix}"


def _encoded(content: bytes) -> Mapping[str, bytes]:
    return {
        "identity": content,
        "gzip": gzip.compress(content, 9, mtime=0),
        "br": bytes(cramjam.brotli.compress(content, level=11)),
    }
