"""Circuit breakers of targets: failing ones are probed, and after several failures only probed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

_EXPONENT_MAX = 30


class Recovery(NamedTuple):
    """What a success changes."""

    closes: bool = False
    """Whether the circuit was open."""
    resumes: bool = False
    """Whether everything that waits for a retry may be attempted now."""


@dataclass(slots=True)
class _Circuit:
    failures: int = 0
    """Failed attempts in a row."""
    is_open: bool = False
    pauses: int = 0
    """Pauses before probes since the last success."""
    probe_us: int | None = None
    """Time from which one probe may be attempted; None: no job needs it."""
    probe: str = ""
    """The job whose attempt is the probe; empty: none is running."""
    refused_until_us: int = 0
    """Time until which the target requested a pause (``Retry-After``)."""
    resumed_us: int | None = None
    """When a success last made the waiting jobs due."""
    resumptions: int = 0
    """How often that happened in succession."""


class Circuits:
    """The circuits of the targets of one kind of job.

    A target whose last attempt failed is probed after a pause, which doubles with each failed
    probe. After ``failures_max`` failures in a row its circuit opens: then only probes are
    admitted. A success closes the circuit, and what waits is attempted. If jobs fail again and
    again between successes of others, this happens after pauses that double as well.
    """

    def __init__(self, *, failures_max: int, pause_us: int, pause_max_us: int) -> None:
        """Create closed circuits; with ``failures_max`` 0, none opens, and nothing is probed."""
        self._failures_max = failures_max
        self._pause_us = pause_us
        self._pause_max_us = pause_max_us
        self._circuits: dict[str, _Circuit] = {}
        """Circuits of targets that failed."""

    @property
    def open(self) -> int:
        """Return the number of open circuits."""
        return sum(circuit.is_open for circuit in self._circuits.values())

    def restore_failure(self, target: str, refused_until_us: int) -> None:
        """Count a failure from before a restart; the first probe is not delayed."""
        if not self._failures_max:
            return
        circuit = self._circuits.setdefault(target, _Circuit())
        circuit.failures += 1
        circuit.is_open = circuit.failures >= self._failures_max
        circuit.refused_until_us = max(circuit.refused_until_us, refused_until_us)
        circuit.probe_us = circuit.refused_until_us

    def admit(self, target: str, job_id: str, now_us: int) -> bool:
        """Return whether an attempt may be made now; if the circuit is open, it is the probe."""
        circuit = self._circuits.get(target)
        if circuit is None or not circuit.is_open or circuit.probe == job_id:
            return True
        if circuit.probe or now_us < (circuit.probe_us or 0):
            return False
        circuit.probe = job_id
        return True

    def succeeded(self, target: str, now_us: int) -> Recovery:
        """Close the circuit."""
        circuit = self._circuits.get(target)
        if circuit is None or circuit.probe_us is None:
            return Recovery()
        closes, circuit.is_open = circuit.is_open, False
        circuit.failures, circuit.probe = 0, ""
        at_us = circuit.refused_until_us
        if circuit.resumed_us is not None:
            if now_us > circuit.resumed_us + 2 * self._pause_max_us:
                circuit.resumptions = 0
            else:
                at_us = max(at_us, circuit.resumed_us + self._pause_of(circuit.resumptions - 1))
        if now_us < at_us:
            circuit.probe_us = at_us
            return Recovery(closes)
        circuit.probe_us, circuit.pauses, circuit.resumed_us = None, 0, now_us
        circuit.resumptions += 1
        return Recovery(closes, resumes=True)

    def failed(self, target: str, job_id: str, now_us: int, refused_us: int = 0) -> bool:
        """Count a failed attempt, unless it is an early one; return whether it opened the circuit.

        ``refused_us`` is the pause that the target requested.
        """
        if not self._failures_max:
            return False
        circuit = self._circuits.setdefault(target, _Circuit())
        if circuit.is_open or circuit.probe != job_id:
            circuit.failures += 1
        if refused_us:
            circuit.refused_until_us = max(circuit.refused_until_us, now_us + refused_us)
        is_probe_due = not circuit.probe and now_us >= (circuit.probe_us or 0)
        if is_probe_due or circuit.probe == job_id:
            self._pause(circuit, now_us)
        circuit.probe_us = max(circuit.probe_us or 0, circuit.refused_until_us)
        if circuit.is_open or circuit.failures < self._failures_max:
            return False
        circuit.is_open = True
        return True

    def expect_probe(self, target: str) -> None:
        """Probe a target as soon as possible, if no probe is planned.

        A job whose failure is recorded after the success of another one waits for this probe.
        """
        if not self._failures_max:
            return
        circuit = self._circuits.setdefault(target, _Circuit())
        if circuit.probe_us is None:
            circuit.probe_us = circuit.refused_until_us

    def undecided(self, target: str, job_id: str, now_us: int) -> None:
        """End a probe that did not contact the target; the next one follows after a pause."""
        circuit = self._circuits.get(target)
        if circuit is not None and circuit.probe == job_id:
            self._pause(circuit, now_us)

    def _pause(self, circuit: _Circuit, now_us: int) -> None:
        circuit.probe, circuit.probe_us = "", now_us + self._pause_of(circuit.pauses)
        circuit.pauses += 1

    def _pause_of(self, doublings: int) -> int:
        return min(self._pause_us << min(doublings, _EXPONENT_MAX), self._pause_max_us)

    def is_probed_by(self, target: str, job_id: str) -> bool:
        """Return whether the attempt of a job only probes a target whose circuit is open."""
        circuit = self._circuits.get(target)
        return circuit is not None and circuit.is_open and circuit.probe == job_id

    def released(self, target: str, job_id: str) -> None:
        """End a probe that had no result, such as one whose job was dropped."""
        circuit = self._circuits.get(target)
        if circuit is not None and circuit.probe == job_id:
            circuit.probe = ""

    def probe(self, target: str, job_id: str) -> None:
        """Note the job of a due probe."""
        self._circuits[target].probe = job_id

    def postpone(self, target: str, now_us: int) -> None:
        """Delay the probe of a target that has no job to attempt; a closed circuit needs none."""
        circuit = self._circuits[target]
        circuit.probe_us = now_us + self._pause_us if circuit.is_open else None
        circuit.pauses = circuit.pauses if circuit.is_open else 0

    def is_replaced(self, target: str, retry_us: int, now_us: int) -> bool:
        """Return whether a retry that is due soon serves as the probe, which is then delayed."""
        circuit = self._circuits[target]
        if circuit.is_open or retry_us > now_us + self._pause_us:
            return False
        circuit.probe_us = retry_us
        return True

    def probes_due(self, now_us: int) -> Iterator[str]:
        """Yield the targets whose probe may be attempted now."""
        for target, circuit in list(self._circuits.items()):
            if circuit.probe_us is not None and not circuit.probe and circuit.probe_us <= now_us:
                yield target

    def next_us(self) -> int | None:
        """Return the time of the next probe; None if none is awaited."""
        return min(
            (
                circuit.probe_us
                for circuit in self._circuits.values()
                if circuit.probe_us is not None and not circuit.probe
            ),
            default=None,
        )

    def forget(self, is_needed: Callable[[str], bool], now_us: int) -> None:
        """Remove the circuits of targets that have no jobs, and those that recovered long ago."""
        before_us = now_us - 2 * self._pause_max_us
        for target, circuit in list(self._circuits.items()):
            has_recovered = circuit.probe_us is None and (circuit.resumed_us or 0) < before_us
            if has_recovered or not is_needed(target):
                del self._circuits[target]
