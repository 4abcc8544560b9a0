"""Check JSON values against JSON schemas of clients, in bounded time and without other resources.

The reference implementation runs patterns with backtracking, fetches referenced schemas and has no
limit of steps. Here, patterns are RE2's, references stay within the schema, and each evaluation of
a keyword counts as a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec
import re2
from jsonschema import Draft7Validator, Draft202012Validator
from jsonschema.exceptions import SchemaError, UnknownType, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

STEPS_MAX: Final = 50_000
"""Maximum keywords that are evaluated for one value, less than a second."""
CACHED_MAX: Final = 256
PATTERN_MEMORY_BYTES: Final = 1024 * 1024
_UNSUPPORTED: Final = ("unevaluatedProperties", "unevaluatedItems", "$dynamicRef", "$recursiveRef")

_FAILURES: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    UnknownType,
    ValueError,
)
"""What the library raises for references to other than schemas, and for numbers that overflow."""

Keyword = Callable[[Any, Any, Any, Mapping[str, Any]], Iterator[ValidationError] | None]


class SchemaRefusedError(Exception):
    """A schema is invalid, not supported, or too costly to check; the message names the path."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)


class _Steps:
    def __init__(self) -> None:
        self.left = STEPS_MAX

    def take(self, count: int = 1) -> None:
        self.left -= count
        if self.left < 0:
            raise SchemaRefusedError("", f"the check takes more than {STEPS_MAX} steps")


_steps: _Steps = _Steps()
"""Steps of the current check, which runs without interruption."""


def check_schema(schema: dict[str, Any]) -> None:
    """Check that a schema can be used.

    Raises:
        SchemaRefusedError: it is no JSON schema, or has a keyword or pattern that is not supported.
    """
    try:
        (Draft7Validator if _is_draft_7(schema) else Draft202012Validator).check_schema(schema)
        _refuse_unsupported(schema)
        compiled(msgspec.json.encode(schema)).fault(None)
    except SchemaError as error:
        raise SchemaRefusedError(_path(error), error.message[:300]) from error
    except RecursionError as error:
        raise SchemaRefusedError("", "it is nested too deeply") from error


class CompiledSchema:
    """A schema that values can be checked against."""

    def __init__(self, schema: dict[str, Any]) -> None:
        dialect = _DRAFT_7 if _is_draft_7(schema) else _LATEST
        self._validator: Validator = dialect(schema, registry=Registry())

    def fault(self, value: Any) -> str | None:
        """Return where a value does not meet the schema, and why; None if it does.

        Raises:
            SchemaRefusedError: the schema refers to another one, or to what is no schema; it is too
                costly to check, or cannot check this value.
        """
        global _steps  # noqa: PLW0603  # a check is not interrupted by others
        _steps = _Steps()
        try:
            error = next(self._validator.iter_errors(value), None)
        except Unresolvable as reason:
            raise SchemaRefusedError("", f"the reference {reason.ref!r} is not in it") from reason
        except RecursionError as reason:
            raise SchemaRefusedError("", "it refers to itself without end") from reason
        except _FAILURES as reason:
            message = "it refers to what is no schema, or cannot check this value"
            raise SchemaRefusedError("", message) from reason
        return None if error is None else f"{_path(error) or '$'}: {error.message[:300]}"


def _is_draft_7(schema: Mapping[str, Any]) -> bool:
    return "draft-07" in str(schema.get("$schema", ""))


@lru_cache(maxsize=CACHED_MAX)
def compiled(schema: bytes) -> CompiledSchema:
    """Return the schema with a JSON text; recently used ones are cached."""
    return CompiledSchema(msgspec.json.decode(schema))


def _path(error: ValidationError | SchemaError) -> str:
    return "".join(
        f"[{each}]" if isinstance(each, int) else f".{each}" for each in error.absolute_path
    ).lstrip(".")


def _refuse_unsupported(schema: Any) -> None:
    pending = [schema]
    while pending:
        each = pending.pop()
        if isinstance(each, list):
            pending.extend(each)
        if not isinstance(each, dict):
            continue
        pending.extend(each.values())
        for name in _UNSUPPORTED:
            if name in each:
                raise SchemaRefusedError("", f"the keyword {name} is not supported")
        patterns = each.get("patternProperties")
        for pattern in (each.get("pattern"), *(patterns if isinstance(patterns, dict) else ())):
            if isinstance(pattern, str):
                _pattern(pattern)


@lru_cache(maxsize=CACHED_MAX)
def _pattern(text: str) -> Any:
    options = re2.Options()
    options.max_mem = PATTERN_MEMORY_BYTES
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except re2.error as error:
        message = f"the pattern {text[:100]!r} is not supported by RE2"
        raise SchemaRefusedError("", message) from error


def _matches(validator: Any, pattern: str, instance: Any, _: Any) -> Iterator[ValidationError]:
    if validator.is_type(instance, "string") and not _pattern(pattern).search(instance):
        yield ValidationError(f"{instance[:100]!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: Any, instance: Any, _: Any
) -> Iterator[ValidationError]:
    if validator.is_type(instance, "object"):
        for pattern, subschema in patterns.items():
            for name, value in instance.items():
                _steps.take()
                if _pattern(pattern).search(name):
                    yield from validator.descend(value, subschema, path=name, schema_path=pattern)


def _additional_properties(
    validator: Any, allowed: Any, instance: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    if not validator.is_type(instance, "object"):
        return
    named, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, value in instance.items():
        _steps.take(1 + len(patterns))
        if name in named or any(_pattern(each).search(name) for each in patterns):
            continue
        if validator.is_type(allowed, "object"):
            yield from validator.descend(value, allowed, path=name)
        elif allowed is False:
            yield ValidationError(f"the property {name[:100]!r} is not allowed")


def _unique_items(
    validator: Any, is_unique: Any, instance: Any, _: Any
) -> Iterator[ValidationError]:
    if is_unique and validator.is_type(instance, "array"):
        _steps.take(len(instance))
        texts = {msgspec.json.encode(each, order="deterministic") for each in instance}
        if len(texts) < len(instance):
            yield ValidationError("the items of the array are not unique")


def _counted(keyword: Keyword) -> Keyword:
    def counted(
        validator: Any, value: Any, instance: Any, schema: Mapping[str, Any]
    ) -> Iterator[ValidationError] | None:
        _steps.take()
        return keyword(validator, value, instance, schema)

    return counted


def _bounded(validator: Any) -> Any:
    keywords = {
        **validator.VALIDATORS,
        "pattern": _matches,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
        "uniqueItems": _unique_items,
    }
    return extend(validator, {name: _counted(keyword) for name, keyword in keywords.items()})


_LATEST: Final = _bounded(Draft202012Validator)
_DRAFT_7: Final = _bounded(Draft7Validator)
