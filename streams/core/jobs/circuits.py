"""Circuit breakers of targets: after several failures in a row, only probes are attempted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

_EXPONENT_MAX = 30


@dataclass(slots=True)
class _Circuit:
    failures: int = 0
    openings: int = 0
    """Failed probes since the circuit opened, and the opening itself; 0: it is closed."""
    probe_us: int = 0
    """Time from which one probe may be attempted."""
    probe: str = ""
    """The job whose attempt is the probe; empty: none is running."""


class Circuits:
    """The circuits of the targets of one kind of job.

    A circuit opens after ``failures_max`` failures in a row. Then one attempt at a time, the probe,
    is admitted after a pause, which doubles with each failed probe. A success closes the circuit.
    """

    def __init__(self, *, failures_max: int, pause_us: int, pause_max_us: int) -> None:
        """Create closed circuits; with ``failures_max`` 0, they never open."""
        self._failures_max = failures_max
        self._pause_us = pause_us
        self._pause_max_us = pause_max_us
        self._circuits: dict[str, _Circuit] = {}
        """Circuits of targets whose last attempt failed."""

    @property
    def open(self) -> int:
        """Return the number of open circuits."""
        return sum(1 for circuit in self._circuits.values() if circuit.openings)

    def restore_failure(self, target: str) -> None:
        """Count a failure from before a restart; the first probe is not delayed."""
        circuit = self._circuits.setdefault(target, _Circuit())
        circuit.failures += 1
        if self._failures_max and circuit.failures >= self._failures_max:
            circuit.openings = circuit.openings or 1

    def admit(self, target: str, job_id: str, now_us: int) -> bool:
        """Return whether an attempt may be made now; if the circuit is open, it is the probe."""
        circuit = self._circuits.get(target)
        if circuit is None or not circuit.openings:
            return True
        if circuit.probe or now_us < circuit.probe_us:
            return False
        circuit.probe = job_id
        return True

    def succeeded(self, target: str) -> bool:
        """Close the circuit; return whether it was open."""
        circuit = self._circuits.pop(target, None)
        return circuit is not None and circuit.openings > 0

    def failed(self, target: str, job_id: str, now_us: int) -> bool:
        """Count a failed attempt; return whether it opened the circuit."""
        if not self._failures_max:
            return False
        circuit = self._circuits.setdefault(target, _Circuit())
        circuit.failures += 1
        if circuit.openings and circuit.probe != job_id:  # it began before the circuit opened
            return False
        circuit.probe = ""
        if circuit.failures < self._failures_max:
            return False
        pause_us = self._pause_us * 2 ** min(circuit.openings, _EXPONENT_MAX)
        circuit.probe_us = now_us + min(pause_us, self._pause_max_us)
        circuit.openings += 1
        return circuit.openings == 1

    def released(self, target: str, job_id: str) -> None:
        """End a probe that had no result, such as one whose job was dropped."""
        circuit = self._circuits.get(target)
        if circuit is not None and circuit.probe == job_id:
            circuit.probe = ""

    def postpone(self, target: str, now_us: int) -> None:
        """Delay the probe of a target that has no job to attempt."""
        self._circuits[target].probe_us = now_us + self._pause_us

    def probes_due(self, now_us: int) -> Iterator[str]:
        """Yield the targets whose probe may be attempted now."""
        for target, circuit in list(self._circuits.items()):
            if circuit.openings and not circuit.probe and circuit.probe_us <= now_us:
                yield target

    def next_us(self) -> int | None:
        """Return the time of the next probe; None if none is awaited."""
        return min(
            (
                circuit.probe_us
                for circuit in self._circuits.values()
                if circuit.openings and not circuit.probe
            ),
            default=None,
        )

    def forget(self, is_needed: Callable[[str], bool]) -> None:
        """Remove the circuits of targets that have no jobs."""
        for target in [each for each in self._circuits if not is_needed(each)]:
            del self._circuits[target]
