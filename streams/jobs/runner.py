"""Run the jobs of one kind, each at least once, across restarts and failures of targets.

All durable information is in two logs: the source creates jobs, and the states contain their
progress. A job without a state is due immediately. The state is written after each attempt, so a
crash before that repeats the attempt.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable
from typing import Final, Generic

import msgspec
import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord

from producers.control.record import Change
from producers.kafka.log_reader import LogReader
from producers.settings import KafkaSettings
from streams.core.dead_letters.texts import describe_error
from streams.core.jobs.book import JobBook, JobT
from streams.core.jobs.circuits import Circuits
from streams.core.jobs.queue import JobQueue
from streams.core.jobs.state import Failed, JobState, Outcome, ended
from streams.jobs.dead_letters import JobDeadLetters, is_transient
from streams.jobs.kind import JobKind
from tracemill.clock import now_us

log = structlog.get_logger(__name__)

HOUR_US: Final = 3_600_000_000
SECOND_US: Final = 1_000_000
IDLE_S: Final = 60.0
_CIRCUIT_OPEN: Final = Failed(
    "not attempted: the last attempts at this target failed (circuit open)", by_target=False
)


class JobRunner(Generic[JobT]):
    """The runner of one kind; ``run`` runs while the kind is assigned to this worker."""

    def __init__(
        self, kind: JobKind[JobT], kafka: KafkaSettings, producer: AIOKafkaProducer
    ) -> None:
        self._kind = kind
        self._limits = kind.limits
        self._metrics = kind.metrics()
        self._producer = producer
        self._states_topic = kind.states(kafka.topics)
        source = kind.source(kafka.topics)
        self._queue = JobQueue(
            per_target_max=self._limits.attempts_per_target_max,
            running_max=self._limits.attempts_max,
        )
        self._book: JobBook[JobT] = JobBook(
            self._queue,
            self._limits.retry_schedule_s,
            age_max_us=self._limits.age_max_h * HOUR_US,
            memory_us=self._limits.memory_h * HOUR_US,
            circuits=Circuits(
                failures_max=self._limits.circuit_failures_max,
                pause_us=int(self._limits.circuit_pause_s * SECOND_US),
                pause_max_us=int(self._limits.circuit_pause_max_s * SECOND_US),
            ),
        )
        self._source_log, self._state_log = (
            LogReader(
                kafka,
                TopicPartition(topic, 0),
                deliver,
                isolation="read_uncommitted",
                on_failure=self._on_failed_record,
            )
            for topic, deliver in ((source, self._on_source), (self._states_topic, self._on_state))
        )
        self._dead_letters = JobDeadLetters(
            producer, kafka, stage=kind.stage, source=source, metrics=self._metrics
        )
        self._tasks: set[asyncio.Task[None]] = set()
        """Running attempts, and dead letters being written."""
        self._wake = asyncio.Event()
        self._has_states = False
        self._ready = False
        self._next_sweep_s = 0.0

    async def run(self) -> None:
        """1. Read the states. 2. Read the source. 3. Attempt due jobs, until cancelled.

        Raises:
            KafkaError: the broker did not accept the state of a job.
        """
        try:
            await self._state_log.start()
            await self._state_log.caught_up()
            self._has_states = True
            for record in self._kind.context.control.view.records():
                self.control_changed(record)
            await self._source_log.start()
            await self._source_log.caught_up()
            self._ready = True
            log.info("jobs_ready", kind=self._kind.name, pending=len(self._queue))
            while True:
                self._start_attempts()
                self._raise_failures()
                await self._sweep()
                await self._until_due()
        finally:
            self._has_states = self._ready = False
            await self._finish_attempts()
            await self._source_log.stop()
            await self._state_log.stop()

    def control_changed(self, change: Change) -> None:
        """Queue the jobs that a change of the control plane creates."""
        if not self._has_states:
            return
        try:
            self._queue_jobs(self._kind.jobs_of_change(change))
        except Exception:
            self._metrics.set_aside("change")
            log.exception("job_change_failed", kind=self._kind.name, change=change.id)

    def _on_source(self, record: ConsumerRecord) -> None:
        if record.value is not None:
            self._queue_jobs(self._kind.jobs_of(record))

    def _on_state(self, record: ConsumerRecord) -> None:
        job_id = self._kind.job_id_of((record.key or b"").decode())
        if job_id is not None:
            value = record.value
            state = None if value is None else self._kind.decode_state(value)
            self._book.load_state(job_id, state)

    def _on_failed_record(self, record: ConsumerRecord, error: Exception) -> None:
        """Write the dead letter of a record that could not be processed; reading continues."""
        task = asyncio.create_task(self._dead_letters.record(record, error))
        self._tasks.add(task)
        task.add_done_callback(lambda _: self._wake.set())

    def _queue_jobs(self, jobs: Iterable[JobT]) -> None:
        """Queue the jobs that have not ended."""
        too_old = self._book.add(jobs, now_us())
        if self._ready:
            for _ in range(too_old):
                self._metrics.limit_reached("age_max_h")
        self._wake.set()

    def _start_attempts(self) -> None:
        for job, may_contact in self._book.start(now_us()):
            task = asyncio.create_task(
                self._attempt(job, may_contact), name=f"{self._kind.name} {job.id}"
            )
            self._tasks.add(task)
            task.add_done_callback(lambda _: self._wake.set())
        if self._queue.has_waiting:
            if self._queue.is_limited_in_total:
                self._metrics.limit_reached("attempts_max")
            if self._queue.is_limited_by_target:
                self._metrics.limit_reached("attempts_per_target_max")
        self._metrics.queued(len(self._queue), self._queue.running)
        self._metrics.open_circuits(self._book.circuits.open)

    async def _attempt(self, job: JobT, may_contact: bool) -> None:
        """Attempt a job and write its state; a job that raises becomes a dead letter.

        Raises:
            KafkaError: the broker did not accept the state.
        """
        kept: JobState | None = None
        try:
            try:
                after = await self._attempted(job, may_contact)
                await self._keep(job, after)
            except Exception as error:
                if is_transient(error):
                    raise
                after = await self._set_aside(job, error)
            # The state is written before the job is queued again, so attempts never overlap.
            kept = after
        finally:
            self._book.finish(job, kept)

    async def _attempted(self, job: JobT, may_contact: bool) -> JobState:
        """Attempt the job.

        1. If it must wait, postpone it. 2. Write the state, if the kind needs that. 3. Attempt the
        job. 4. If all retries have failed, write its dead letter.
        """
        outcome: Outcome | None = _CIRCUIT_OPEN
        if may_contact:
            outcome = self._kind.wait_of(job)
            if outcome is None and self._kind.seals(job):
                await self._keep_state(job, self._book.state_of(job))
        began_s = time.monotonic()
        if outcome is None:
            outcome = await self._outcome_of(job)
        self._metrics.attempted(type(outcome).__name__.lower(), time.monotonic() - began_s)
        ended_us = now_us()
        # Of a target that fails for hours, the open circuit is logged, and not each probe.
        is_new = not self._book.circuits.is_probed_by(job.target, job.id)
        circuit = self._book.update_circuit(job, outcome, ended_us)
        if circuit:
            self._metrics.circuit_changed(circuit)
            log.warning("circuit_changed", to=circuit, kind=self._kind.name, target=job.target)
        jitter = random.uniform(0, self._limits.retry_jitter)  # noqa: S311  # spreads load only
        after = self._book.after(job, outcome, ended_us, jitter)
        if after.status == "done":
            self._metrics.done(max(0, ended_us - job.created_us) / 1e6)
        elif after.status != "dropped" and isinstance(outcome, Failed) and may_contact and is_new:
            log.warning(
                "job_failed",
                kind=self._kind.name,
                job=job.id,
                target=job.target,
                attempts=after.attempts,
                detail=after.detail,
                again_in_s=_pause_s(after, ended_us),
            )
        if after.status == "exhausted":
            self._metrics.exhausted()
            await self._dead_letters.send(self._kind.dead_letter(job, after))
        return after

    async def _outcome_of(self, job: JobT) -> Outcome:
        timeout_s = self._limits.attempt_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                return await self._kind.attempt(job)
        except TimeoutError:
            self._metrics.limit_reached("attempt_timeout_s")
            return Failed(f"the attempt took longer than {timeout_s:g} s")

    async def _set_aside(self, job: JobT, error: Exception) -> JobState:
        """Write the dead letter of a job that raised, then its state; return the state."""
        try:
            payload = self._kind.payload_of(job)
        except Exception:  # noqa: BLE001  # the first error is the one to report
            payload = b""
        await self._dead_letters.job(job, self._kind.state_key(job.id), payload, error)
        after = ended(self._book.state_of(job), "exhausted", now_us(), describe_error(error))
        await self._keep(job, after)
        return after

    async def _keep(self, job: JobT, state: JobState) -> None:
        """1. Write the records of the attempt. 2. Write the state."""
        for topic, value in self._kind.records_of(job, state):
            await self._producer.send_and_wait(topic, value, partition=0)
        await self._keep_state(job, state)

    async def _keep_state(self, job: JobT, state: JobState) -> None:
        state = msgspec.structs.replace(state, project_id=job.project_id, created_us=job.created_us)
        await self._producer.send_and_wait(
            self._states_topic,
            self._kind.encode_state(job.id, state),
            key=self._kind.state_key(job.id).encode(),
            partition=0,
        )

    async def _until_due(self) -> None:
        """Wait until the next job is due, a job is queued, or an attempt ends."""
        next_us = self._book.next_us()
        pause_s = IDLE_S if next_us is None else min(IDLE_S, (next_us - now_us()) / 1e6)
        try:
            async with asyncio.timeout(max(pause_s, 0.0)):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    def _raise_failures(self) -> None:
        for task in [task for task in self._tasks if task.done()]:
            self._tasks.discard(task)
            task.result()

    async def _finish_attempts(self) -> None:
        """Wait up to ``stop_timeout_s`` for running attempts, then cancel them.

        The next worker repeats cancelled attempts.
        """
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=self._limits.stop_timeout_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _sweep(self) -> None:
        """Remove states that are older than ``memory_h``."""
        now_s = time.monotonic()
        if now_s < self._next_sweep_s:
            return
        self._next_sweep_s = now_s + self._limits.sweep_interval_s
        at_us = now_us()
        sent = []
        for job_id in self._book.sweep(at_us):
            key = self._kind.state_key(job_id).encode()
            sent.append(await self._producer.send(self._states_topic, None, key=key, partition=0))
        await asyncio.gather(*sent)
        self._kind.sweep(at_us)


def _pause_s(state: JobState, at_us: int) -> float | None:
    """Return the time until the next attempt; None if there will be none."""
    if state.status != "pending":
        return None
    return round((state.next_attempt_us - at_us) / 1e6, 1)
