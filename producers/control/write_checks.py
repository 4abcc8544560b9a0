"""Check the version, the unique keys and the limits of a control record before it is written."""

from __future__ import annotations

from producers import metrics
from producers.control.record import ControlRecord
from producers.control.state import ControlState, claims_of, identity, value_of
from producers.errors import ControlConflictError, ControlLimitError, ControlVersionError
from producers.settings import KafkaSettings


class WriteChecks:
    """Refuse writes that conflict with the current records or exceed a limit."""

    def __init__(self, state: ControlState, kafka: KafkaSettings) -> None:
        self._state = state
        self._records_max = kafka.control_records_max
        self._record_max_bytes = kafka.control_record_max_bytes

    def refuse_other_version(self, claim: str, expected: int) -> None:
        """Check that a record is at a version.

        Raises:
            ControlVersionError: it is at another version, or was deleted.
        """
        held = self._state.holder(claim)
        if held is None:
            raise ControlVersionError(f"{claim} was deleted")
        if held.version != expected:
            # The versions are offsets of a log that all projects share: clients may not see them.
            raise ControlVersionError(f"{claim} has changed: read it again")

    def refuse_taken_claims(self, record: ControlRecord, log_key: str) -> None:
        """Check that no other log key holds a unique key of a record.

        Raises:
            ControlConflictError: the message names the key.
        """
        for claim in claims_of(record)[1:]:
            holder = self._state.holder(claim)
            if holder is not None and holder.log_key != log_key:
                message = f"{claim} is taken"
                raise ControlConflictError(message)

    def refuse_beyond_limits(self, record: ControlRecord, *, is_new: bool) -> None:
        """Check the size of a record, and the number of records if it is new.

        Raises:
            ControlLimitError: the message names the limit.
        """
        if is_new and len(self._state) >= self._records_max:
            metrics.LIMIT_REACHED.labels(limit="control_records_max").inc()
            raise ControlLimitError("the control plane has no room (control_records_max)")
        size = len(value_of(record, None))
        if size > self._record_max_bytes:
            metrics.LIMIT_REACHED.labels(limit="control_record_max_bytes").inc()
            allowed = self._record_max_bytes
            message = f"{identity(record)} has {size} bytes; {allowed} are allowed"
            raise ControlLimitError(message)
