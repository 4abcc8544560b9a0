"""How single events change traces: replace, merge, hear; and what each change takes out of and puts into windows and spend."""

from __future__ import annotations

from clickhouse.rows import ObservationRow
from streams.core.contributions import DeltaBook
from streams.core.effects import Effects
from streams.core.lines import ObservationLine, passed_on
from streams.core.merge import Merged, merged_part, merged_whole, write_statements
from streams.core.observations import Known, known_of, rank_of, start_of, tombstone_of
from streams.core.pricing import PriceBook
from streams.core.residents import PartKey, Residents
from streams.core.traces import Trace, TraceKey
from streams.core.valuation import Tokens, appraise
from tracemill.contract import DEFAULT_ENVIRONMENT, TraceAttributes, TraceUpdate


class EventFold:
    """Folds the events of one source record at a time; every method says whether the event changed anything.

    Args:
        residents: the traces; whatever an event needs is there (``streams.core.pipeline`` sees to it).
    """

    def __init__(self, residents: Residents, prices: PriceBook, tokens: Tokens) -> None:
        self.prices = prices
        self.parts: set[PartKey] = set()
        """Observations of the chunk that are told in parts, whatever else is said of them."""
        self.changed: dict[TraceKey, Trace] = {}
        self.books: dict[str, DeltaBook] = {}
        self.merged_rows: dict[PartKey, ObservationRow] = {}
        """Of the chunk: the last row of each observation told in parts."""
        self._residents = residents
        self._tokens = tokens
        self._effects = Effects(-1)
        self._floor = 0

    def begin_chunk(self, effects: Effects) -> None:
        self._effects = effects
        self.merged_rows.clear()

    def begin_record(self, version_floor: int) -> None:
        self._floor = version_floor
        self.books.clear()
        self.changed.clear()

    def observation(self, line: ObservationLine) -> bool:
        key = (line.project_id, line.trace_id)
        trace = self._residents.traces.get(key)
        if trace is None:
            trace = self._residents.begin(key)
        book = self._book(line.project_id)
        attributes = line.trace
        news = attributes is not None and self._hear(trace, book, attributes, line.ts_us)
        known = trace.observations.get(line.id)
        if (
            line.partial
            or (known is not None and known.merged is not None)
            or (key, line.id) in self.parts
        ):
            news |= self._merge(trace, book, known, line)
        else:
            news |= self._replace(trace, book, known, line)
        if news:
            self.changed[key] = trace
        return news

    def trace_update(self, line: TraceUpdate) -> bool:
        key = (line.project_id, line.trace_id)
        trace = self._residents.traces.get(key)
        if trace is None:
            trace = self._residents.begin(key)
        news = trace.said.hear_itself(line.environment, line.ts_us)
        news |= self._hear(trace, self._book(line.project_id), line.trace, line.ts_us)
        if news:
            self.changed[key] = trace
        return news

    def _book(self, project_id: str) -> DeltaBook:
        book = self.books.get(project_id)
        if book is None:
            book = self.books[project_id] = DeltaBook()
        return book

    def _hear(self, trace: Trace, book: DeltaBook, attributes: TraceAttributes, ts_us: int) -> bool:
        """What was spent so far goes over to the user who turns out to have spent it."""
        before = trace.user_id
        news = trace.said.hear(attributes, ts_us)
        after = trace.user_id
        if before != after and trace.cost_pico:
            book.hand_over(trace.observations.values(), before, after, trace.key[1])
        return news

    def _replace(
        self, trace: Trace, book: DeltaBook, old: Known | None, line: ObservationLine
    ) -> bool:
        """A whole event takes the place of an older one, or of none."""
        if old is not None and line.ts_us < old.ts_us:
            return False
        row = self._whole_row(line)
        known = known_of(row, None)
        if old is None:
            row.row_version = known.row_version = self._floor
        else:
            if line.ts_us == old.ts_us and rank_of(known) <= rank_of(old):
                return False
            row.row_version = known.row_version = max(old.row_version + 1, self._floor)
        self._swap(trace, book, old, known)
        self._effects.observations.append(row)
        if old is not None:
            self._bury(row, old)
        return True

    def _merge(
        self, trace: Trace, book: DeltaBook, old: Known | None, line: ObservationLine
    ) -> bool:
        """Statements join those that are known."""
        before = None if old is None else old.merged
        if before is None and old is not None and line.ts_us < old.ts_us:
            return False
        if line.partial:
            after = merged_part(before, line, line.ts_us)
        else:
            alone = known_of(self._whole_row(line), None)
            rank = rank_of(alone)
            if (
                before is None
                and old is not None
                and line.ts_us == old.ts_us
                and rank <= rank_of(old)
            ):
                return False
            after = merged_whole(before, line, line.ts_us, alone.start_us, rank)
        if after is before:
            return False
        row = self._merged_row(trace.key, line.id, after)
        row.row_version = self._floor if old is None else max(old.row_version + 1, self._floor)
        known = known_of(row, after)
        self._swap(trace, book, old, known)
        self.merged_rows[trace.key, line.id] = row
        if old is not None:
            self._bury(row, old)
        return True

    def _swap(self, trace: Trace, book: DeltaBook, old: Known | None, new: Known) -> None:
        user_id, trace_id = trace.user_id, trace.key[1]
        if old is not None:
            trace.count_out(old)
            book.count(old, -1)
            book.spend(old, -1, user_id, trace_id)
        trace.count_in(new)
        book.count(new, 1)
        book.spend(new, 1, user_id, trace_id)
        self._effects.unpriced += new.cost_source == "unpriced"

    def _bury(self, row: ObservationRow, old: Known) -> None:
        tombstone = tombstone_of(row, old.start_us)
        if tombstone is not None:
            self._effects.observations.append(tombstone)

    def _whole_row(self, line: ObservationLine) -> ObservationRow:
        """The row of a whole event, but for its version."""
        start_us = start_of(line)
        said = line.trace
        row = ObservationRow(
            project_id=line.project_id,
            trace_id=line.trace_id,
            id=line.id,
            start_us=start_us,
            row_version=0,
            end_us=max(line.end_us, start_us) if line.end_us else 0,
            completion_start_us=line.completion_start_us or 0,
            type=line.type or "SPAN",
            name=line.name or "",
            parent_id=line.parent_id or "",
            environment=line.environment or DEFAULT_ENVIRONMENT,
            level=line.level or "DEFAULT",
            status_message=line.status_message or "",
            version=line.version or "",
            model=line.model or "",
            model_parameters=line.model_parameters or "",
            provided_usage=line.usage or {},
            provided_cost_pico=line.cost or {},
            input=passed_on(line.input),
            output=passed_on(line.output),
            metadata=passed_on(line.metadata),
            prompt_name=line.prompt_name or "",
            prompt_version=line.prompt_version or 0,
            service_name=line.service_name or "",
            scope_name=line.scope_name or "",
            scope_version=line.scope_version or "",
            app_root=int(line.app_root),
            user_id=(said.user_id or "") if said is not None else "",
            session_id=(said.session_id or "") if said is not None else "",
            event_us=line.ts_us,
        )
        appraise(row, self.prices, self._tokens)
        return row

    def _merged_row(self, key: TraceKey, observation_id: str, merged: Merged) -> ObservationRow:
        """The row of an observation told in parts, but for its version."""
        row = ObservationRow(
            project_id=key[0],
            trace_id=key[1],
            id=observation_id,
            start_us=merged.start_us,
            row_version=0,
        )
        write_statements(merged, row)
        appraise(row, self.prices, self._tokens)
        return row
