"""Settings of the alerting stage: rules and budgets."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class AlertingSettings(BaseSettings):
    """Limits of the alerting stage, which evaluates alert rules and budgets.

    ``tracemill_alerting_limit_reached_total`` counts by name how often a limit was reached.
    """

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_ALERTING_", frozen=True)

    flush_interval_s: float = Field(0.25, ge=0.01, le=60)
    """Time from a change until the changed states are written to Kafka. Alerts are sent at
    once."""
    states_per_s_max: int = Field(1_500, ge=1)
    """States that are written per second and partition. Above the limit, flushes are less frequent,
    and groups of budgets wait: a state that changes several times meanwhile is written once. Groups
    that approach a limit, reach it or cross a threshold do not wait."""
    flush_interval_max_s: float = Field(1.0, ge=0.01, le=60)
    """Maximum time by which ``states_per_s_max`` delays a flush."""
    states_delay_max_s: float = Field(60.0, ge=1, le=600)
    """Maximum time for which the state of a group waits, apart from the interval of flushes. After
    a crash, deltas of this time are applied again."""
    tick_interval_s: float = Field(0.5, ge=0.05, le=1)
    """Interval of evaluating rules that depend on time."""
    events_poll_s: float = Field(0.5, ge=0.05, le=10)
    """Interval of measuring how many events are not processed yet."""
    events_behind_max_s: float = Field(5.0, gt=0)
    """Age of unprocessed events above which time stands still for rules, until the events are
    processed. So a backlog is not taken for silence. It exceeds the interval of commits, 1 s."""
    gather_max_s: float = Field(0.5, ge=0, le=5)
    """Maximum time for which records of ``deltas`` are gathered before they are applied together.
    While little arrives, they are applied at once."""
    gather_cpu_share: float = Field(0.1, gt=0, le=1)
    """Share of a CPU above which records are gathered for longer, up to ``gather_max_s``."""
    unflushed_records_max: int = Field(50_000, ge=1)
    """Records of ``deltas`` that are applied but not contained in a checkpoint, per partition. At
    the limit, all states are written at once."""
    states_in_flight_max: int = Field(10_000, ge=1)
    """States of a flush that are sent before the broker acknowledges the first of them."""
    budget_groups_max: int = Field(1_000_000, ge=1)
    """Groups of budgets and periods in memory, per partition. Above the limit, ended periods are
    removed, earliest first. If this is not sufficient, new groups are not evaluated."""
    budget_periods_keep_days: int = Field(40, ge=1, le=400)
    """Time for which the states of an ended period are kept, so that late events change them. If
    spend of an older period changes, the period is read from the store."""
    budget_alerts_max: int = Field(2_000_000, ge=1)
    """Ids of past alerts of budgets in memory. Above the limit, the oldest are dropped. Late data
    can then repeat such an alert, with the same id."""
    budget_correction_delay_s: float = Field(5.0, ge=0, le=3_600)
    """Time for which the spend must be below a crossed threshold until ``budget.corrected`` takes
    it back. So spans of a trace that arrive in an unusual order do not repeat an alert."""
    budget_readings_max: int = Field(4, ge=1)
    """Periods of new budgets whose stored spend is read at the same time, per partition."""
    budget_recorded_changes_max: int = Field(200_000, ge=1)
    """Changes of a period's spend that are recorded while its stored spend is read. Above the
    limit, the period is read again later."""
    budget_retry_s: float = Field(1.0, gt=0)
    """Pause before stored spend is read again, if the store did not answer."""
    budget_usual_retry_s: float = Field(60.0, gt=0)
    """Pause before the usual spend of a budget is read again, if the store did not answer. Until
    then, its forecast is linear."""
    checkpoint_interval_s: float = Field(3_600.0, gt=0)
    """Interval of writing a checkpoint while a partition is idle."""
    rule_groups_max: int = Field(10_000, ge=1)
    """Groups of each combination of filter, ``group_by`` and metric of the rules of a project.
    Further groups are not evaluated."""
    rule_panes_max: int = Field(1_000_000, ge=1)
    """Sums of ten seconds that all rules keep in memory, per partition. Above the limit, further
    ones are not counted, and the states of their rules are incomplete."""
    rule_scores_max: int = Field(200_000, ge=1)
    """Scores in the windows of rules that are remembered, per partition, so that a later version
    of a score replaces it. Above the limit, the oldest of a project are forgotten; a later version
    of them counts as another score."""
    late_max_s: int = Field(300, ge=0, multiple_of=10)
    """Time by which an event may be older than the windows of rules. Windows of the past that
    contain such events are evaluated again; older events change no alert."""
    group_idle_h: int = Field(24, ge=1)
    """Time after which the state of a group that is not firing is removed."""
    row_alerts_max: int = Field(200_000, ge=1)
    """Alerts about single traces and calls that are remembered, so that they are not repeated when
    the trace changes. Above the limit, the oldest are forgotten; a repeated alert has the same
    id."""
    earlier_interval_s: float = Field(2.0, gt=0)
    """Interval of checking whether rules that compare with earlier windows need a query of the
    store. One rule queries it at most each minute."""
    score_call_interval_s: float = Field(0.5, gt=0)
    """Interval of looking up the observations of scores, for rules about their model or prompt."""
    score_calls_max: int = Field(500, ge=1)
    """Observations that are looked up in one query."""
    score_call_wait_max_s: float = Field(60.0, ge=0)
    """Time for which a score waits until its observation is stored. After that, it counts with an
    empty model, name and prompt."""
    restart_pause_s: float = Field(1.0, gt=0)
    """First pause before a failed partition is restarted. Each further failure doubles the pause,
    with jitter."""
    restart_pause_max_s: float = Field(30.0, gt=0)
    """Maximum pause before a failed partition is restarted."""
    stop_timeout_s: float = Field(5.0, gt=0)
    """Time limit for the last flush when a worker stops."""
