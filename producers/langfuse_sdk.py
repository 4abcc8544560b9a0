"""Read which version of Langfuse's SDKs sent a request, from its headers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

VERSION_CHARS_MAX: Final = 32
_SCOPES: Final = {"python": "langfuse-python", "langfuse-js": "langfuse-js"}
INGESTION_SCOPES: Final = frozenset(_SCOPES.values())
"""Scopes of observations that Langfuse's SDKs sent to the ingestion API."""
_VERSION: Final = re.compile(r"(\d{1,6})\.(\d{1,6})")


@dataclass(frozen=True, slots=True)
class Sdk:
    """The Langfuse SDK that sent a request (headers ``x-langfuse-sdk-name`` and ``-version``).

    Both are empty for other clients.
    """

    name: str = ""
    version: str = ""


def sdk_of(headers: Mapping[bytes, bytes]) -> Sdk:
    """Return the SDK in the headers, whose names have hyphens or underscores."""

    def header(field: bytes) -> str:
        hyphens = headers.get(b"x-langfuse-sdk-" + field)
        return (hyphens or headers.get(b"x_langfuse_sdk_" + field, b"")).decode("latin-1")

    return Sdk(header(b"name"), header(b"version"))


def scope_of_ingestion(sdk: Sdk) -> tuple[str, str] | None:
    """Return name and version of the scope of the events that an SDK sends to the ingestion API.

    None for others than the SDKs that send traces there: Python 2 and JavaScript 3.
    """
    name, version = _SCOPES.get(sdk.name), _VERSION.match(sdk.version)
    if name is None or version is None or (sdk.name == "python" and int(version[1]) > 2):
        return None
    return name, sdk.version[:VERSION_CHARS_MAX]


def is_python_before(sdk: Sdk, major: int, minor: int) -> bool:
    """Return whether a request is from a version of the Python SDK before the given one."""
    version = _VERSION.match(sdk.version)
    return (
        sdk.name == "python"
        and version is not None
        and (int(version[1]), int(version[2])) < (major, minor)
    )
