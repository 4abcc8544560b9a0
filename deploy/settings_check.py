"""Find the invalid settings of all roles before `tracemill up` starts anything."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from typing import Final

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsError

from deploy.variables import SETTINGS, faults_in, variable_names

PREFIX: Final = "TRACEMILL_"
SIMILAR: Final = 0.9
"""Minimum similarity of a misspelled variable to a setting; 1: equal."""


def invalid_settings(ignored: Container[str]) -> list[str]:
    """Return a line for each variable that a role cannot use, except those that are ``ignored``."""
    lines: dict[str, str] = {}
    for settings in _classes():
        for name, line in _faults(settings):
            if name not in ignored:
                lines.setdefault(name, line)
    return list(lines.values())


def misspelled_variables(environment: Mapping[str, str]) -> list[str]:
    """Return a line for each variable whose name is similar to that of a setting."""
    known = {name for settings in _classes() for name in variable_names(settings)}
    lines: list[str] = []
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known:
            similar = get_close_matches(name, known - environment.keys(), n=1, cutoff=SIMILAR)
            lines += [f"{name} is not a setting; did you mean {each}?" for each in similar]
    return lines


def _classes() -> Iterator[type[BaseSettings]]:
    for _, module, names in SETTINGS:
        for name in names:
            yield getattr(import_module(module), name)


def _faults(settings: type[BaseSettings]) -> list[tuple[str, str]]:
    """Return all invalid variables of a class, and a line for each.

    Reading stops at a variable that is not JSON, so it is repeated without this variable.
    """
    unreadable: dict[str, str] = {}
    while True:
        try:
            with _without(unreadable):
                settings()
        except ValidationError as error:
            return [*unreadable.items(), *faults_in(error)]
        except SettingsError as error:
            found = dict(faults_in(error))
            if not found.keys() - unreadable.keys():
                raise
            unreadable |= found
        else:
            return [*unreadable.items()]


@contextmanager
def _without(names: Container[str]) -> Iterator[None]:
    """Remove variables from the environment while the block runs."""
    removed = {name: value for name, value in os.environ.items() if name in names}
    for name in removed:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(removed)
