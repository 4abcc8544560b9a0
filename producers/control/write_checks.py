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

    def check_version(self, claim: str, expected: int) -> None:
        """Check that a record has the version ``expected``.

        Raises:
            ControlVersionError: it has another version, or was deleted.
        """
        held = self._state.holder(claim)
        if held is None:
            raise ControlVersionError(f"{claim} was deleted")
        if held.version != expected:
            # Versions are offsets in a log that all projects share; do not show them to clients.
            raise ControlVersionError(f"{claim} has changed: read it again")

    def check_unique_keys(self, record: ControlRecord, log_key: str) -> None:
        """Check that no other record has a unique key of this record.

        Raises:
            ControlConflictError: the message names the key.
        """
        for claim in claims_of(record)[1:]:
            holder = self._state.holder(claim)
            if holder is not None and holder.log_key != log_key:
                message = f"{claim} is taken"
                raise ControlConflictError(message)

    def check_limits(self, record: ControlRecord, *, is_new: bool) -> None:
        """Check the size of a record and, if it is new, the number of records.

        Raises:
            ControlLimitError: the message names the limit.
        """
        if is_new and len(self._state) >= self._records_max:
            metrics.LIMIT_REACHED.labels(limit="control_records_max").inc()
            raise ControlLimitError("there are too many control records (control_records_max)")
        size = len(value_of(record, None))
        if size > self._record_max_bytes:
            metrics.LIMIT_REACHED.labels(limit="control_record_max_bytes").inc()
            allowed = self._record_max_bytes
            message = f"{identity(record)} has {size} bytes; the maximum is {allowed}"
            raise ControlLimitError(message)
