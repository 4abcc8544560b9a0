"""Find the score configs that scores refer to."""

from __future__ import annotations

from typing import Protocol

from producers.control.kinds.score_config import ScoreConfig
from producers.control.view import ControlView


class ScoreConfigs(Protocol):
    """Find the score config of a project; None if there is none."""

    def __call__(self, project_id: str, config_id: str) -> ScoreConfig | None: ...


def configs_of(view: ControlView) -> ScoreConfigs:
    """Return the score configs of a control plane."""

    def find(project_id: str, config_id: str) -> ScoreConfig | None:
        return view.in_project(ScoreConfig, project_id).get(config_id)

    return find
