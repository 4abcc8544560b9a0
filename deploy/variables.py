"""Describe every setting as an environment variable, according to the settings classes."""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import shlex
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import AliasChoices, BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsError

# Classes are listed by name, so that a role imports only those that it uses.
SETTINGS: Final = (
    ("every process", "deploy.settings", ("ProcessSettings", "HttpSettings")),
    ("the broker", "producers.settings", ("KafkaSettings",)),
    ("the store", "clickhouse.settings", ("StoreSettings", "TieringSettings")),
    ("gateway, query, sink and up", "producers.disk", ("DiskSettings",)),
    ("gateway", "producers.settings", ("GatewaySettings", "OtlpGrpcSettings")),
    ("gateway and query", "producers.settings", ("LimitsSettings",)),
    ("streams", "streams.observations.settings", ("StreamsSettings",)),
    ("streams", "streams.rollups.settings", ("ProjectSettings",)),
    ("streams", "streams.alerting.settings", ("AlertingSettings",)),
    ("streams", "streams.placement.settings", ("PlacementSettings",)),
    ("streams", "streams.notifications.settings", ("NotifierSettings",)),
    ("streams", "streams.deletion.settings", ("DeletionSettings",)),
    ("streams", "streams.quarantine.settings", ("QuarantineSettings",)),
    ("streams and query", "producers.settings", ("WebhookSettings",)),
    ("sink", "clickhouse.sink.settings", ("SinkSettings",)),
    ("sink", "clickhouse.levels.settings", ("LevelSettings",)),
    ("query", "query_api.settings", ("QuerySettings",)),
    ("query", "query_api.console.settings", ("ConsoleSettings",)),
    ("query", "producers.documents.settings", ("DocumentSettings",)),
    ("gateway and query", "producers.settings", ("AdminSettings", "KeySettings")),
    ("migrate", "producers.settings", ("InitSettings",)),
    ("embedded engines", "deploy.embedded.settings", ("EmbeddedSettings",)),
    ("embedded engines", "clickhouse.settings", ("EmbeddedStoreSettings",)),
)
"""The roles that read the settings, the module, and the classes."""

WIDTH: Final = 100
_BOUNDS: Final = (
    ("gt", "above {}"),
    ("ge", "at least {}"),
    ("lt", "below {}"),
    ("le", "at most {}"),
    ("max_length", "at most {} long"),
    ("pattern", "matching {}"),
)


@dataclass(frozen=True, slots=True)
class Variable:
    """A field of a settings class as an environment variable."""

    name: str
    """Name of the environment variable."""
    field: str
    default: str
    allowed: str
    about: str


@dataclass(frozen=True, slots=True)
class Group:
    """The variables of one settings class."""

    read_by: str
    settings: type[BaseSettings]
    about: str
    variables: tuple[Variable, ...]


def groups() -> Iterator[Group]:
    """Yield all settings; a variable of two classes is listed with the first one."""
    listed: set[str] = set()
    for read_by, module, names in (*SETTINGS, *_settings_of_jobs()):
        for name in names:
            settings: type[BaseSettings] = getattr(import_module(module), name)
            found = [each for each in variables(settings) if each.name not in listed]
            listed.update(each.name for each in found)
            yield Group(read_by, settings, inspect.getdoc(settings) or "", tuple(found))


def _settings_of_jobs() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield the settings of kinds of jobs that ``SETTINGS`` does not list."""
    listed = {(module, name) for _, module, names in SETTINGS for name in names}
    kinds: Mapping[str, Any] = import_module("streams.jobs.registry").KINDS
    for kind in kinds.values():
        module, name = kind.settings.__module__, kind.settings.__name__
        if (module, name) not in listed:
            yield "streams", module, (name,)


def variables(settings: type[BaseSettings]) -> list[Variable]:
    """Return the variables of a class, in the order of its fields."""
    about = _docstrings(settings)
    return [
        Variable(
            name=_variable_name(settings, name, field),
            field=name,
            default=_text_of_default(
                field.get_default(call_default_factory=True, validated_data={})
            ),
            allowed=_allowed(field),
            about=about.get(name) or field.description or "",
        )
        for name, field in settings.model_fields.items()
    ]


def as_text() -> str:
    """Return all variables with their defaults as a shell script of comments only."""
    parts = [
        _comment("All variables with their defaults. Uncomment a line to set another value.") + "\n"
    ]
    for group in groups():
        parts.append(_comment(f"[{group.read_by}] {group.about}"))
        for each in group.variables:
            parts.append(_comment(f"{each.about} ({each.allowed})".strip()))
            parts.append(f"# {each.name}={_shell_quoted(each.default)}\n")
    return "\n".join(parts)


def variable_names(settings: type[BaseSettings]) -> list[str]:
    """Return the names of a class's variables."""
    return [_variable_name(settings, *each) for each in settings.model_fields.items()]


def invalid_variables(error: ValidationError | SettingsError) -> list[str]:
    """Return a line for each invalid variable: its name, its value and what is allowed.

    Empty if ``error`` is not about a variable.
    """
    return [line for _, line in faults_in(error)]


def faults_in(error: ValidationError | SettingsError) -> list[tuple[str, str]]:
    """Return the name of each invalid variable, and its line as of ``invalid_variables``."""
    if isinstance(error, SettingsError):
        named = re.search(r'field "(\w+)"', str(error))
        field = named.group(1) if named else ""
        return [
            (each.name, _invalid_variable(each, os.environ[each.name]))
            for group in groups()
            for each in group.variables
            if each.field == field and each.name in os.environ
        ]
    for group in groups():
        if group.settings.__name__ == error.title:
            declared = variables(group.settings)
            reasons = {str(each["loc"][0]).lower(): each for each in error.errors() if each["loc"]}
            found = [
                (each, reasons.get(each.field.lower()) or reasons.get(each.name.lower()))
                for each in declared
            ]
            return [
                (
                    each.name,
                    _invalid_variable(
                        each, os.environ.get(each.name, each.default), _validator_message(reason)
                    ),
                )
                for each, reason in found
                if reason is not None
            ]
    return []


def _validator_message(reason: ErrorDetails) -> str:
    """Return the message of our own validator; empty if pydantic rejected the type."""
    return str(reason["ctx"]["error"]) if reason["type"] == "value_error" else ""


def _invalid_variable(variable: Variable, value: str, why: str = "") -> str:
    shown = "" if "SECRET" in variable.name or "PASSWORD" in variable.name else f" {value!r}"
    reason = why or f"it must be {variable.allowed}"
    default = variable.default or "empty"
    return f"{variable.name}{shown} cannot be used: {reason} (default {default})"


def _variable_name(settings: type[BaseSettings], name: str, field: FieldInfo) -> str:
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return str(alias.choices[0])
    return f"{settings.model_config.get('env_prefix', '')}{name}".upper()


def _text_of_default(value: Any) -> str:
    """Return a default as the text of an environment variable."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if value is None:
        return ""
    return str(value) if isinstance(value, str | Path) else json.dumps(value)


def _shell_quoted(value: str) -> str:
    """Quote a value for a shell; an empty value is not quoted, for readers other than shells."""
    return shlex.quote(value) if value else ""


def _allowed(field: FieldInfo) -> str:
    bounds = [
        text.format(getattr(constraint, bound))
        for bound, text in _BOUNDS
        for constraint in field.metadata
        if getattr(constraint, bound, None) is not None
    ]
    return ", ".join([_kind(field.annotation), *bounds])


def _kind(annotation: Any) -> str:
    if get_origin(annotation) in {Union, UnionType}:
        (annotation,) = (each for each in get_args(annotation) if each is not NoneType)
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Literal:
        return f"one of {', '.join(map(str, get_args(annotation)))}"
    if get_origin(annotation) is tuple:
        return "a JSON list"
    names = {bool: "true or false", int: "a whole number", float: "a number", Path: "a path"}
    return names.get(annotation, "text")


def _docstrings(settings: type[BaseSettings]) -> dict[str, str]:
    """Return the docstring of each field as one line, including inherited fields."""
    found: dict[str, str] = {}
    for base in reversed(settings.__mro__):
        if issubclass(base, BaseModel) and not base.__module__.startswith("pydantic"):
            found |= _own_docstrings(base)
    return found


def _own_docstrings(settings: type[BaseModel]) -> dict[str, str]:
    try:
        source = inspect.getsource(settings)
    except OSError:  # the class is generated, and its fields have descriptions
        return {}
    (definition,) = ast.parse(textwrap.dedent(source)).body
    assert isinstance(definition, ast.ClassDef)
    found: dict[str, str] = {}
    for field, below in zip(definition.body, definition.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            found[field.target.id] = " ".join(str(below.value.value).replace("``", "").split())
    return found


def _comment(text: str) -> str:
    return textwrap.fill(
        " ".join(text.replace("``", "").split()),
        WIDTH,
        initial_indent="# ",
        subsequent_indent="#   ",
    )
