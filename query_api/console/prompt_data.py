"""Read what the pages of prompts show: folders, use in the last days, and comparisons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from producers.control.kinds.prompt import Prompt
from query_api.console.query_rows import answered_rows
from query_api.context import AppContext
from query_api.money import pico_of
from query_api.times import SECOND_US, iso
from tracemill.clock import now_us

USE_DAYS: Final = 7
"""Days before now whose calls and cost the list of prompts shows."""
ORDERS: Final = ("name", "updated")


@dataclass(frozen=True, slots=True)
class Use:
    """Calls of a prompt and their cost in picodollars."""

    calls: int = 0
    cost_pico: int = 0
    unpriced: int = 0
    """Calls without a price, which the cost does not include."""


@dataclass(frozen=True, slots=True)
class PromptRow:
    """A prompt of the list; ``title`` is its name without the folder."""

    prompt: Prompt
    title: str
    use: Use

    @property
    def labels(self) -> list[tuple[str, int]]:
        """Return the labels with their versions, without ``latest``."""
        return [(label, each) for label, each in self.prompt.labels.items() if label != "latest"]


@dataclass(frozen=True, slots=True)
class Folder:
    path: str
    title: str
    prompts: int
    updated_us: int


@dataclass(frozen=True, slots=True)
class Choice:
    """Which prompts the list shows: those of a folder, or all that meet the other conditions."""

    folder: str = ""
    search: str = ""
    tag: str = ""
    label: str = ""

    @property
    def is_filtered(self) -> bool:
        return bool(self.search or self.tag or self.label)

    def includes(self, prompt: Prompt) -> bool:
        """Return whether a prompt meets the conditions, wherever it is."""
        return (
            self.search.lower() in prompt.name.lower()
            and (not self.tag or self.tag in prompt.tags)
            and (not self.label or self.label in prompt.labels)
            and (not self.folder or prompt.name.startswith(f"{self.folder}/"))
        )


def chosen(prompts: Iterable[Prompt], choice: Choice) -> tuple[list[Folder], list[Prompt]]:
    """Return the folders and the prompts that the list shows."""
    included = [each for each in prompts if choice.includes(each)]
    if choice.is_filtered:
        return [], included
    beginning = f"{choice.folder}/" if choice.folder else ""
    inside: dict[str, list[Prompt]] = {}
    direct: list[Prompt] = []
    for each in included:
        first, separator, _ = each.name.removeprefix(beginning).partition("/")
        if separator:
            inside.setdefault(first, []).append(each)
        else:
            direct.append(each)
    folders = [
        Folder(beginning + title, title, len(of_folder), max(each.updated_us for each in of_folder))
        for title, of_folder in sorted(inside.items())
    ]
    return folders, direct


async def use_of(context: AppContext, project_id: str, names: Sequence[str]) -> Mapping[str, Use]:
    """Return the use of prompts in the last ``USE_DAYS`` days, by name.

    Raises:
        TooCostlyError, UnavailableError: as ``Reader.rows``.
    """
    if not names:
        return {}
    at_us = now_us()
    body = {
        "measures": ["count", "cost_usd", "unpriced"],
        "group_by": ["prompt_name"],
        "filter": {"prompt_name": list(names)},
        "from": iso(at_us - USE_DAYS * 86_400 * SECOND_US),
        "to": iso(at_us),
    }
    rows = await answered_rows(context, project_id, body, at_us)
    return {
        row.group["prompt_name"]: Use(
            row.values["count"] or 0,
            pico_of(row.values["cost_usd"] or "0"),
            row.values["unpriced"] or 0,
        )
        for row in rows
    }
