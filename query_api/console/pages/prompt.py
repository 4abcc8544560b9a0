"""Show a prompt: its versions, the difference of two of them, their metrics, and forms."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from starlette.responses import Response

from producers.control.kinds.prompt import LATEST, PRODUCTION, Prompt
from producers.control.kinds.prompt_version import PromptVersion
from producers.prompts.split import SLOTS, slots_of
from query_api.console.form_bodies import Faults, digits_in
from query_api.console.form_faults import body_with_field_faults
from query_api.console.page import Page, View
from query_api.console.pages.prompts import prompt_path
from query_api.console.prompt_forms import PromptForm, form_of_version
from query_api.console.prompt_metrics import MetricRow, metric_rows
from query_api.console.prompt_texts import (
    config_to_compare,
    content_of,
    prompt_texts,
    text_to_compare,
)
from query_api.console.search import term
from query_api.console.text_diff import Diff, side_by_side
from query_api.console.time_ranges import TimeRange, time_range_of
from query_api.errors import BadRequestError, NotFoundError
from query_api.money import PICO_PER_USD
from query_api.prompts.comparison import VersionOut
from query_api.prompts.library import FoundVersion
from query_api.times import MILLISECOND_US, iso
from query_api.v1.prompt_comparison import VERSIONS_MAX, CompareParameters, read_comparison
from tracemill.clock import now_us

TABS: Final = ("content", "diff", "metrics")
VIEWS: Final = (*TABS, "move", "remove", "delete", "edit")
PRESETS: Final = ("24h", "7d", "30d")
DEFAULT_RANGE: Final = "30d"
MINUS: Final = "-"
SCORE_DIGITS: Final = 3
VERSIONS_SHOWN: Final = 100
"""Newest versions that the page lists, in addition to those with labels."""


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A version in the list beside the content."""

    record: PromptVersion
    labels: Sequence[str]


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between two versions."""

    first: int
    second: int
    texts: Diff
    config: Diff | None


async def show(view: View) -> Response:
    """Show a version of a prompt, or what the parameter `view` names."""
    return await show_prompt(view, view.request.path_params["name"], view.parameter("view"))


async def show_new(view: View) -> Response:
    """Show the form of a new prompt."""
    folder = view.parameter("folder")[:200].strip("/")
    return show_form(view, PromptForm(name=f"{folder}/" if folder else ""), None, {})


async def show_prompt(
    view: View, name: str, part: str, *, faults: Faults | None = None, status: int = 200
) -> Response:
    """Show a part of the page of a prompt; ``faults`` are those of an action that was refused.

    Raises:
        NotFoundError: there is no such prompt, version, label or part.
    """
    library = view.context.prompts
    prompt = library.find(view.project_id, name)
    if prompt is None:
        await view.context.control.caught_up()  # another process may have created it just now
        prompt = library.find(view.project_id, name)
    if prompt is None:
        raise NotFoundError(f"no prompt {name[:100]!r}")
    part = part or VIEWS[0]
    if part not in VIEWS:
        raise BadRequestError(f"view: must be one of {', '.join(VIEWS)}", field="view")
    number = _number(view, "version", prompt)
    if number is None:
        number = prompt.labels.get(PRODUCTION, prompt.labels[LATEST])
    found = library.version(view.project_id, name, version=number)
    if part == "edit":
        return show_form(view, form_of_version(found), prompt, {})
    shown = await _part(view, part, found)
    return view.render(
        "prompt.html",
        status=status,
        part=part,
        prompt=prompt,
        found=found,
        versions=_versions(view, prompt, number),
        labels_of=prompt.labels_of,
        path_of=lambda **parameters: prompt_path(view, name, **parameters),
        prompt_path=lambda other, /, **parameters: prompt_path(view, other, **parameters),
        protected=library.protected(view.project_id),
        may_write=view.may("write"),
        faults=faults or {},
        moved=view.parameter("moved"),
        calls=lambda **more: _calls(name, **more),
        **_formats(view),
        **shown,
    )


def show_form(
    view: View, form: PromptForm, prompt: Prompt | None, faults: Faults, status: int = 200
) -> Response:
    """Show the form of a new version, or of a new prompt."""
    return view.render(
        "prompt_form.html",
        status=status,
        form=form,
        prompt=prompt,
        cancel=prompt_path(view, prompt.name) if prompt else "",
        faults=faults,
        known_labels=sorted({*(prompt.labels if prompt else ()), PRODUCTION} - {LATEST}),
    )


async def _part(view: View, part: str, found: FoundVersion) -> dict[str, Any]:
    match part:
        case "diff":
            return {"difference": await _difference(view, found)}
        case "metrics":
            return await _metrics(view, found.prompt)
        case "move":
            return await _move(view, found)
        case "remove":
            label = view.parameter("label")
            if label not in found.prompt.labels:
                raise NotFoundError(f"no version has the label {label[:64]!r}")
            return {"label": label}
        case "delete":
            return {}
    texts = prompt_texts(content_of(found.record))
    config = msgspec.json.decode(found.record.config)
    time_range = TimeRange("7d", None, None)
    comparison = await _compared(view, found.prompt, [found.record.version], time_range)
    return {"texts": texts, "config": config, "use": comparison[0]}


async def _move(view: View, found: FoundVersion) -> dict[str, Any]:
    """Return what moving a label to the version changes, to be confirmed."""
    prompt, label = found.prompt, view.parameter("label") or PRODUCTION
    held = prompt.labels.get(label)
    difference = None
    if held is not None and held != found.record.version:
        difference = await _compare_texts(view, prompt, held, found.record.version)
    return {"label": label, "held": held, "difference": difference}


async def _difference(view: View, found: FoundVersion) -> Difference | None:
    """Return the difference of two versions; by default, that to the version before."""
    prompt, numbers = found.prompt, sorted(found.prompt.versions)
    second = _number(view, "b", prompt) or found.record.version
    first = _number(view, "a", prompt)
    if first is None:
        earlier = [each for each in numbers if each < second]
        first = earlier[-1] if earlier else second
    return await _compare_texts(view, prompt, first, second)


async def _compare_texts(view: View, prompt: Prompt, first: int, second: int) -> Difference:
    library = view.context.prompts
    before, after = (
        library.version(view.project_id, prompt.name, version=each).record
        for each in (first, second)
    )
    # Long texts take a while, during which other requests go on.
    texts = await asyncio.to_thread(side_by_side, text_to_compare(before), text_to_compare(after))
    config = None
    if before.config != after.config:
        config = await asyncio.to_thread(
            side_by_side, config_to_compare(before), config_to_compare(after)
        )
    return Difference(first, second, texts, config)


async def _metrics(view: View, prompt: Prompt) -> dict[str, Any]:
    """Return metrics of the newest versions, and the tests of one version against another."""
    time_range = time_range_of(view.request.query_params, now_us(), DEFAULT_RANGE)
    newest = sorted(prompt.versions, reverse=True)
    first = _number(view, "a", prompt) or prompt.labels.get(PRODUCTION, newest[-1])
    second = _number(view, "b", prompt)
    if second is None:
        second = next((each for each in newest if each != first), first)
    labelled = [each for each in newest if prompt.labels_of(each)]
    shown = list(dict.fromkeys([first, second, *labelled, *newest]))[:VERSIONS_MAX]
    rows, compared = await asyncio.gather(
        _compared(view, prompt, sorted(shown, reverse=True), time_range),
        _tested(view, prompt, first, second, time_range),
    )

    def url(**changed: str) -> str:
        given = {"view": "metrics", "a": str(first), "b": str(second), **time_range.parameters}
        return f"?{urlencode({name: each for name, each in (given | changed).items() if each})}"

    return {
        "rows": rows,
        "shares": {label: count / SLOTS for label, count in slots_of(prompt.split).items()},
        "first": first,
        "second": second,
        "pair": compared[0],
        "tests": compared[1],
        "range": time_range,
        "presets": PRESETS,
        "url": url,
    }


async def _tested(
    view: View, prompt: Prompt, first: int, second: int, time_range: TimeRange
) -> tuple[Sequence[VersionOut], Sequence[MetricRow]]:
    if first == second:
        return (), ()
    found = await read_comparison(
        view.context, view.project_id, prompt.name, _parameters([first, second], time_range)
    )
    return found.data, metric_rows(found)


async def _compared(
    view: View, prompt: Prompt, numbers: Sequence[int], time_range: TimeRange
) -> Sequence[VersionOut]:
    parameters = _parameters(numbers, time_range)
    return (await read_comparison(view.context, view.project_id, prompt.name, parameters)).data


def _parameters(numbers: Sequence[int], time_range: TimeRange) -> CompareParameters:
    at_us = now_us()
    from_us = time_range.from_us
    if from_us is None and time_range.preset:
        from_us = time_range_of({"range": time_range.preset}, at_us, DEFAULT_RANGE).from_us
    bounds = {"from": from_us, "to": time_range.to_us}
    given: Mapping[str, Any] = {
        name: iso(each) for name, each in bounds.items() if each is not None
    }
    return body_with_field_faults(CompareParameters, {**given, "versions": list(map(str, numbers))})


def _versions(view: View, prompt: Prompt, number: int) -> list[VersionRow]:
    newest = sorted(prompt.versions, reverse=True)
    shown = {*newest[:VERSIONS_SHOWN], *prompt.labels.values(), number}
    records = view.context.control.view[PromptVersion]
    found = [records.get(prompt.id_of_version(each)) for each in newest if each in shown]
    return [VersionRow(each, prompt.labels_of(each.version)) for each in found if each is not None]


def _number(view: View, name: str, prompt: Prompt) -> int | None:
    """Return the version that a parameter names; None if it is missing.

    Raises:
        NotFoundError: the prompt has no such version.
    """
    text = view.parameter(name)
    if not text:
        return None
    number = digits_in(text)
    if number not in prompt.versions:
        raise NotFoundError(f"{name}: the prompt has no version {text[:20]!r}")
    return number


def _formats(view: View) -> Mapping[str, Callable[[Any], str]]:
    """Return functions that format means and their differences, which may be negative."""
    formats = view.formats

    def ms_of(value: float) -> str:
        return f"{MINUS if value < 0 else ''}{formats.duration(abs(value) * MILLISECOND_US)}"

    return {
        "usd_of": lambda value: formats.usd(round(Decimal(str(value)) * PICO_PER_USD)),
        "ms_of": ms_of,
        "percent_of": formats.percent,
        "score_of": lambda value: formats.number(round(value, SCORE_DIGITS)),
    }


def _calls(name: str, /, **more: object) -> str:
    """Return the query string of the calls that used a version of a prompt."""
    version, level = more.pop("version", None), more.pop("level", "")
    terms = [term("prompt", name)]
    if version is not None:
        terms.append(term("promptversion", str(version)))
    if level:
        terms.append(term("level", str(level)))
    return f"?{urlencode({'q': ' '.join(terms), **more})}"


REGISTERED = (
    Page("/prompts/new", show_new, scope="write"),
    Page("/prompts/{name:path}", show),
)
