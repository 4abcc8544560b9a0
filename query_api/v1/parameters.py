"""Define what the routes of ``/v1`` share: parameters, the check of unknown ones, and pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin

import msgspec
from fastapi import APIRouter, Depends
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo
from starlette.requests import Request

from query_api import cursors, metrics
from query_api.errors import BadRequestError
from query_api.numbers import Whole
from query_api.pages import NativeMeta
from query_api.settings import QuerySettings
from query_api.times import InstantUs

NAME_MAX: Final = 2000
Name = Annotated[str, Field(min_length=1, max_length=NAME_MAX)]
Names = Annotated[list[Annotated[str, Field(max_length=500)]], Field(max_length=100)]

Item = TypeVar("Item")


class NativeParameters(BaseModel):
    model_config = ConfigDict(frozen=True)


def native_router(tag: str) -> APIRouter:
    """Return a router whose routes refuse unknown parameters, and single ones that are repeated."""
    return APIRouter(tags=[tag], dependencies=[Depends(_check_parameters)])


async def _check_parameters(request: Request) -> None:
    known = _parameters_of(request.scope["route"])
    for name in request.query_params:
        if name not in known:
            message = f"unknown parameter {name[:64]!r}"
            raise BadRequestError(message, field=name[:64], allowed=tuple(known))
        number = len(request.query_params.getlist(name))
        if number > 1 and not _is_list(known[name].annotation):
            raise BadRequestError(f"{name}: given {number} times; once is allowed", field=name)


def _parameters_of(route: APIRoute) -> dict[str, FieldInfo]:
    return {
        info.alias or name: info
        for field in route.dependant.query_params
        for name, info in getattr(field.field_info.annotation, "model_fields", {}).items()
    }


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is list or any(map(_is_list, get_args(annotation)))


def require_at_most(
    settings: QuerySettings, number: int, *, setting: str, field: str, unit: str
) -> None:
    """Refuse a request with more entries of a field than ``setting`` allows, and count it.

    Raises:
        BadRequestError: there are more.
    """
    limit: int = getattr(settings, setting)
    if number > limit:
        metrics.LIMITS_REACHED.labels(setting).inc()
        raise BadRequestError(f"{field}: at most {limit} {unit}, not {number}", field=field)


def range_before(
    from_us: int | None, to_us: int | None, *, at_us: int, default_us: int
) -> tuple[int, int]:
    """Return a range that by default ends at ``at_us`` and is ``default_us`` long.

    Raises:
        BadRequestError: it is empty.
    """
    to_us = at_us if to_us is None else to_us
    from_us = to_us - default_us if from_us is None else from_us
    if from_us >= to_us:
        raise BadRequestError("from: must be before `to`", field="from")
    return from_us, to_us


class _Position(msgspec.Struct):
    at_us: InstantUs
    id: str
    from_us: InstantUs | None = None
    to_us: InstantUs | None = None
    """The range of the first page, because durations before now would move."""


class KeysetParameters(NativeParameters):
    """Paging, newest items first."""

    limit: Whole = Field(default=50, ge=1, le=500)
    cursor: cursors.CursorText | None = Field(
        default=None, description="`meta.cursor` of the previous page."
    )

    def position(self) -> tuple[int, str] | None:
        if self.cursor is None:
            return None
        position = cursors.decode(self.cursor, _Position)
        return position.at_us, position.id

    def first_range_us(self) -> tuple[int, int] | None:
        """Return the range of the first page; None: this is it, or the list has no range."""
        if self.cursor is None:
            return None
        position = cursors.decode(self.cursor, _Position)
        if position.from_us is None or position.to_us is None:
            return None
        return position.from_us, position.to_us


def keyset_page(
    rows: Sequence[Item],
    limit: int,
    key: Callable[[Item], tuple[int, str]],
    range_us: tuple[int, int] | tuple[None, None] = (None, None),
) -> tuple[Sequence[Item], NativeMeta]:
    """Return the first ``limit`` rows and the cursor; one more row shows that there are more.

    The cursor keeps the range, which ``KeysetParameters.first_range_us`` returns.
    """
    if len(rows) <= limit:
        return rows, NativeMeta(has_more=False, cursor=None)
    page = rows[:limit]
    cursor = cursors.encode(_Position(*key(page[-1]), *range_us))
    return page, NativeMeta(has_more=True, cursor=cursor)
