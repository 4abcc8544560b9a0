"""Convert scores of the Langfuse API to events of the contract, and check them by their configs."""

from __future__ import annotations

import math
from typing import Final

from producers.control.kinds.score_config import ScoreConfig
from producers.errors import BodyError
from producers.gateway.langfuse.bodies import ScoreBody
from producers.gateway.langfuse.contract_events import Times, environment_of
from producers.gateway.score_configs import ScoreConfigs
from producers.gateway.values.json_text import metadata_of
from tracemill.contract import Score, ScoreDataType

TEXT_SCORE_MAX_CHARS: Final = 500
CORRECTION_NAME: Final = "output"
QUOTED_CHARS_MAX: Final = 64
QUOTED_LABELS_MAX: Final = 20


def score_of(
    body: ScoreBody,
    times: Times,
    configs: ScoreConfigs,
    *,
    project_id: str,
    score_id: str,
    ts_us: int,
    must_have_name_of_config: bool = False,
) -> Score:
    """Convert a score; SDKs send scores whose name is not that of their config.

    Raises:
        BodyError: it does not have exactly one target, or the value does not fit the data type or
            the score config.
    """
    targets = [body.trace_id, body.session_id, body.dataset_run_id]
    if sum(target is not None for target in targets) != 1:
        message = "traceId, sessionId, datasetRunId: set exactly one"
        raise BodyError(message)
    if body.observation_id is not None and body.trace_id is None:
        message = "observationId: requires a traceId"
        raise BodyError(message)
    config = _config_of(body, configs, project_id)
    data_type, value, string_value = _score_value(body, config)
    name = CORRECTION_NAME if data_type == "CORRECTION" else body.name
    if config is not None:
        name = name or config.name
        if must_have_name_of_config and name != config.name:
            message = f"name: must be {config.name!r}, the name of the score config"
            raise BodyError(message)
        value = _value_by(config, value, string_value)
    if not name:
        message = "name: missing"
        raise BodyError(message)
    return Score(
        project_id=project_id,
        id=body.id or score_id,
        ts_us=times.read_optional(body.timestamp, "timestamp") or ts_us,
        name=name,
        data_type=data_type,
        value=value,
        string_value=string_value,
        trace_id=body.trace_id,
        observation_id=body.observation_id,
        session_id=body.session_id,
        dataset_run_id=body.dataset_run_id,
        source=body.source or "API",
        environment=environment_of(body.environment),
        comment=body.comment,
        metadata=metadata_of(body.metadata),
        config_id=body.config_id or None,
        queue_id=body.queue_id,
        author_user_id=body.author_user_id,
    )


def deletion_of(project_id: str, score_id: str, ts_us: int) -> Score:
    """Return the event that deletes a score with all versions until ``ts_us``."""
    return Score(
        project_id=project_id,
        id=score_id,
        ts_us=ts_us,
        name="",
        data_type="NUMERIC",
        deleted=True,
    )


def _config_of(body: ScoreBody, configs: ScoreConfigs, project_id: str) -> ScoreConfig | None:
    if not body.config_id:
        return None
    if body.data_type == "CORRECTION":
        message = "configId: not allowed for corrections"
        raise BodyError(message)
    config = configs(project_id, body.config_id)
    if config is None:
        message = f"configId: no score config {body.config_id[:QUOTED_CHARS_MAX]!r}"
        raise BodyError(message)
    if config.is_archived:
        message = f"configId: the score config {config.name!r} is archived"
        raise BodyError(message)
    if body.data_type not in (None, config.data_type):
        message = f"dataType: must be {config.data_type}, as in the score config {config.name!r}"
        raise BodyError(message)
    return config


def _value_by(config: ScoreConfig, value: float | None, text: str | None) -> float | None:
    """Return the number of a value that a config allows; of a category, that of the config."""
    by = f"by the score config {config.name!r}"
    if config.data_type == "NUMERIC" and value is not None:
        if config.min_value is not None and value < config.min_value:
            message = f"value: must be at least {config.min_value:g} {by}"
            raise BodyError(message)
        if config.max_value is not None and value > config.max_value:
            message = f"value: must be at most {config.max_value:g} {by}"
            raise BodyError(message)
    if config.data_type != "CATEGORICAL":
        return value
    numbers = {category.label: category.value for category in config.categories}
    if text not in numbers:
        labels = ", ".join(map(repr, list(numbers)[:QUOTED_LABELS_MAX]))
        more = " …" if len(numbers) > QUOTED_LABELS_MAX else ""
        message = f"value: must be one of {labels}{more} {by}"
        raise BodyError(message)
    return numbers[text]


def _score_value(
    body: ScoreBody, config: ScoreConfig | None
) -> tuple[ScoreDataType, float | None, str | None]:
    value, data_type = body.value, body.data_type or (config.data_type if config else None)
    if isinstance(value, bool):
        data_type = data_type or "BOOLEAN"
        value = float(value)
    data_type = data_type or ("CATEGORICAL" if isinstance(value, str) else "NUMERIC")
    if data_type in ("NUMERIC", "BOOLEAN"):
        if isinstance(value, str) or not math.isfinite(value):
            message = f"value: {data_type} takes a number"
            raise BodyError(message)
        if data_type == "NUMERIC":
            return data_type, value, None
        if value not in (0.0, 1.0):
            message = "value: BOOLEAN takes 0 or 1"
            raise BodyError(message)
        return data_type, value, "True" if value else "False"
    if not isinstance(value, str):
        message = f"value: {data_type} takes a string"
        raise BodyError(message)
    if data_type == "TEXT" and not 1 <= len(value) <= TEXT_SCORE_MAX_CHARS:
        message = f"value: TEXT takes 1 to {TEXT_SCORE_MAX_CHARS} characters"
        raise BodyError(message)
    return data_type, None, value
