"""Read and check the scores that a person gives in the queue of annotations."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from producers.control.kinds.score_config import ScoreConfig
from query_api.console.form_bodies import FormError

SOURCE: Final = "ANNOTATION"
KEYS_MAX: Final = 9
"""Score configs that have a key on the keyboard, 1 to 9; others are not in the queue."""
COMMENT_CHARS_MAX: Final = 5_000


@dataclass(frozen=True, slots=True)
class Given:
    """A score of the form: the name of its field, and what was entered before."""

    config: ScoreConfig
    key: int
    value: str
    comment: str

    @property
    def field(self) -> str:
        return f"score.{self.config.id}"

    @property
    def allowed(self) -> str:
        return allowed_of(self.config)

    @property
    def choices(self) -> list[tuple[str, str]]:
        """Return the categories, each as its value and its title."""
        return [(each.label, each.label) for each in self.config.categories]


def allowed_of(config: ScoreConfig) -> str:
    """Return the allowed values of a config as a text, empty if all are."""
    if config.data_type == "CATEGORICAL":
        return ", ".join(each.label for each in config.categories)
    if config.data_type != "NUMERIC":
        return ""
    bounds = (config.min_value, config.max_value)
    low, high = ("" if each is None else f"{each:g}" for each in bounds)
    if low and high:
        return f"{low} – {high}"
    return f"≥ {low}" if low else f"≤ {high}" if high else ""


def score_id_of(config_id: str, trace_id: str, author: str, observation_id: str = "") -> str:
    """Return the id of the score that an author gives a trace, or an observation of it, so that
    another one replaces it.
    """
    of_observation = [observation_id] if observation_id else []
    identity = msgspec.json.encode([config_id, trace_id, author, *of_observation])
    return f"ann_{hashlib.sha256(identity).hexdigest()[:24]}"


def configs_of_queue(configs: Sequence[ScoreConfig], chosen: Sequence[str]) -> list[ScoreConfig]:
    """Return the configs that the queue asks for: the chosen ones, or else the oldest."""
    usable = [each for each in configs if not each.is_archived]
    if chosen:
        by_id = {each.id: each for each in usable}
        return [by_id[each] for each in chosen if each in by_id][:KEYS_MAX]
    return list(reversed(usable))[:KEYS_MAX]


def scores_of(
    form: Mapping[str, str],
    configs: Sequence[ScoreConfig],
    trace_id: str,
    author: str,
    observation_id: str = "",
) -> list[dict[str, Any]]:
    """Return the scores of a form as bodies of the API; empty fields give none.

    Raises:
        FormError: a value does not fit its config.
    """
    comment = form.get("comment", "").replace("\r\n", "\n").strip()
    if len(comment) > COMMENT_CHARS_MAX:
        raise FormError({"comment": f"at most {COMMENT_CHARS_MAX} characters are allowed"})
    found: list[dict[str, Any]] = []
    faults: dict[str, str] = {}
    for config in configs:
        field = f"score.{config.id}"
        text = form.get(field, "").strip()
        if not text:
            continue
        try:
            value = _value_of(config, text)
        except ValueError as error:
            faults[field] = str(error)
            continue
        score: dict[str, Any] = {
            "id": score_id_of(config.id, trace_id, author, observation_id),
            "traceId": trace_id,
            "name": config.name,
            "configId": config.id,
            "dataType": config.data_type,
            "value": value,
            "source": SOURCE,
            "authorUserId": author,
        }
        if observation_id:
            score["observationId"] = observation_id
        if comment:
            score["comment"] = comment
        found.append(score)
    if faults:
        raise FormError(faults)
    return found


def _value_of(config: ScoreConfig, text: str) -> float | str:
    match config.data_type:
        case "BOOLEAN":
            if text not in {"0", "1"}:
                raise ValueError("must be yes or no")
            return float(text)
        case "CATEGORICAL":
            if text not in {each.label for each in config.categories}:
                raise ValueError("must be one of the categories")
            return text
        case "TEXT":
            return text
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{text[:64]!r} is not a number")
    low, high = config.min_value, config.max_value
    if not (low is None or number >= low) or not (high is None or number <= high):
        raise ValueError(f"must be {_range(low, high)}")
    return number


def _range(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    return f"{low:g} or more" if low is not None else f"{high:g} or less"
