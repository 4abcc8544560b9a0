"""Define experiments and their items in the format of Langfuse."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from query_api.experiments.listed import Experiment
from query_api.experiments.listed_items import ExperimentItem
from query_api.json_texts import Shown, members, shown
from query_api.langfuse.shapes.score_v3 import ScoreV3
from query_api.times import iso, iso_or_none

EXPERIMENT_GROUPS: Final = ("core", "metadata", "scores")
ITEM_GROUPS: Final = (
    *("core", "dataset", "io", "metadata"),
    *("itemMetadata", "experimentMetadata", "scores"),
)
_UNSET: Final = msgspec.UNSET
_Unset = msgspec.UnsetType


class ExperimentOut(msgspec.Struct, rename="camel", kw_only=True):
    id: str
    name: str
    description: str | None
    start_time: str
    end_time: str
    item_count: int
    dataset_id: str | None
    metadata: dict[str, Any] | _Unset | None = _UNSET
    scores: list[ScoreV3] | _Unset = _UNSET


class ExperimentItemOut(msgspec.Struct, rename="camel", kw_only=True):
    """An item of an experiment; `id` is that of its root observation, or else of its link."""

    id: str
    trace_id: str
    start_time: str
    end_time: str | None
    level: str
    environment: str
    experiment_id: str
    experiment_name: str
    experiment_item_id: str
    experiment_dataset_id: str | _Unset | None = _UNSET
    experiment_item_version: str | _Unset | None = _UNSET
    input: Shown | _Unset = _UNSET
    output: Shown | _Unset = _UNSET
    expected_output: Any = _UNSET
    metadata: dict[str, msgspec.Raw] | _Unset = _UNSET
    experiment_item_metadata: Any = _UNSET
    experiment_metadata: dict[str, Any] | _Unset | None = _UNSET
    experiment_description: str | _Unset | None = _UNSET
    scores: list[ScoreV3] | _Unset = _UNSET


def experiment_out(
    experiment: Experiment, groups: frozenset[str], scores: list[ScoreV3]
) -> ExperimentOut:
    found = ExperimentOut(
        id=experiment.id,
        name=experiment.name,
        description=experiment.description,
        start_time=iso(experiment.start_us),
        end_time=iso(experiment.end_us),
        item_count=experiment.item_count,
        dataset_id=experiment.dataset_id,
    )
    if "metadata" in groups:
        found.metadata = experiment.metadata
    if "scores" in groups:
        found.scores = scores
    return found


def experiment_item_out(
    item: ExperimentItem, groups: frozenset[str], scores: list[ScoreV3]
) -> ExperimentItemOut:
    found = ExperimentItemOut(
        id=item.id,
        trace_id=item.trace_id,
        start_time=iso(item.start_us),
        end_time=iso_or_none(item.end_us),
        level=item.level,
        environment=item.environment,
        experiment_id=item.experiment_id,
        experiment_name=item.name,
        experiment_item_id=item.item_id,
    )
    if "dataset" in groups:
        found.experiment_dataset_id = item.dataset_id
        found.experiment_item_version = iso_or_none(item.item_version_us or 0)
    if "io" in groups:
        found.input, found.output = shown(item.input), shown(item.output)
        found.expected_output = item.expected_output
    if "metadata" in groups:
        found.metadata = members(item.metadata)
    if "itemMetadata" in groups:
        found.experiment_item_metadata = item.item_metadata
    if "experimentMetadata" in groups:
        found.experiment_metadata = item.experiment_metadata
        found.experiment_description = item.description
    if "scores" in groups:
        found.scores = scores
    return found
