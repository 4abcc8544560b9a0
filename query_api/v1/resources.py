"""Find the resources that the modules of ``query_api.v1`` declare."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from query_api import v1
from query_api.v1.crud import Resource


def defined_resources() -> list[Resource[Any, Any]]:
    """Return the ``RESOURCE`` of every module, sorted by path."""
    modules = [import_module(f"{v1.__name__}.{each.name}") for each in iter_modules(v1.__path__)]
    found = [vars(module).get("RESOURCE") for module in modules]
    return sorted(
        (each for each in found if isinstance(each, Resource)), key=lambda each: each.path
    )
