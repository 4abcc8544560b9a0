from __future__ import annotations

import msgspec
import pytest

from clickhouse.rows import ENTRY, DeadLetterRow
from streams.core.dead_letters.ids import InputIds
from streams.core.dead_letters.limit import (
    DeadLetterGuard,
    DeadLetterLimit,
    TooManyDeadLettersError,
)
from streams.core.observations.fold import FoldLimits
from streams.core.observations.lines import ObservationLine
from streams.core.observations.reading import SourceRecord, dead_letter, read
from tests.streams.stage1.stage1_folding import LIMITS, NOW_US, Folding, last_row, observation
from tracemill.contract import Observation, encode_event

GOOD = encode_event(observation())


def refused(line: bytes) -> tuple[str, str]:
    record = read(SourceRecord(7, NOW_US, b"\n".join([GOOD, line, GOOD])))
    assert len(record.lines) == 2
    (rejection,) = record.rejections
    assert (rejection.line_number, rejection.payload) == (1, line)
    return rejection.reason, rejection.detail


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not_json"),
        (b'{"kind":"observation"}', "not_an_event"),
        (b'{"kind":"nothing"}', "not_an_event"),
        (GOOD.replace(b'"id":"o"', b'"id":"o","input":5'), "not_an_event"),
        (GOOD.replace(b'"id":"o"', b'"id":"o","usage":{"input":-1}'), "not_an_event"),
        (GOOD.replace(b'"id":"o"', b'"id":"o","input":"\xff"'), "not_utf8"),
        (GOOD.replace(b'"id":"o"', b'"id":"o","input":"\\ud800"'), "not_json"),
        (GOOD.replace(b'"id":"o"', b'"id":""'), "no_identity"),
        (GOOD.replace(b'"project_id":"p"', b'"project_id":""'), "no_identity"),
        (encode_event(observation(ts=3 * 86_400_000_000)), "absurd_time"),
        (encode_event(observation(start_us=1_795_046_400_000)), "absurd_time"),
        (encode_event(observation(end_us=NOW_US * 1000)), "absurd_time"),
        (encode_event(observation(usage={"output": 10**9 + 1})), "not_an_event"),
        (encode_event(observation(usage={"output": 2**53})), "not_an_event"),
        (encode_event(observation(usage={"output": 2**64})), "not_an_event"),
        (encode_event(observation(cost={"total": 10**17 + 1})), "not_an_event"),
        (encode_event(observation(cost={"a": 10**17, "b": 1})), "absurd_cost"),
        (encode_event(observation(cost={"a": 10**17, "b": 1, "total": 1})), "absurd_cost"),
    ],
)
def test_a_line_that_cannot_count_is_refused_with_a_reason_and_the_others_count(line, reason):
    assert refused(line)[0] == reason


def test_a_refusal_names_the_field():
    assert "usage" in refused(GOOD.replace(b'"id":"o"', b'"id":"o","usage":{"input":-1}'))[1]
    assert "input" in refused(GOOD.replace(b'"id":"o"', b'"id":"o","input":[]'))[1]


BAD = GOOD.replace(b'"id":"o"', b'"id":5')


def dead_letters(offset: int, append_us: int, *lines: bytes) -> list[DeadLetterRow]:
    record = read(SourceRecord(offset, append_us, b"\n".join(lines)))
    ids = InputIds("events", record.append_us)
    return [dead_letter(each, record, ids, "events", 3) for each in record.rejections]


def test_a_dead_letter_names_its_source_and_its_project_if_it_can_be_read():
    (one,) = dead_letters(7, NOW_US, BAD)
    assert (one.project_id, one.source_partition, one.source_offset) == ("p", 3, 7)
    assert one.payload.encode() == BAD


def test_the_id_of_a_dead_letter_shows_nothing_of_what_is_around_it_in_the_topic():
    (one,) = dead_letters(7, NOW_US, BAD)
    (elsewhere,) = dead_letters(90_210, NOW_US, GOOD, GOOD, BAD)
    (later,) = dead_letters(7, NOW_US + 1, BAD)
    assert one.id == elsewhere.id != later.id


def test_equal_lines_of_a_record_are_several_dead_letters_and_a_replay_gives_the_same():
    twice = [each.id for each in dead_letters(7, NOW_US, BAD, GOOD, BAD)]
    assert len(set(twice)) == 2
    assert twice == [each.id for each in dead_letters(7, NOW_US, BAD, GOOD, BAD)]


@pytest.mark.parametrize("text", ["x", '"', "\x00", "ü", "\ud800"])
def test_a_refused_line_is_kept_whole_unless_its_row_could_not_be_sent(text):
    payload = (text * 300_000).encode(errors="surrogatepass")
    record = read(SourceRecord(7, NOW_US, payload))
    whole = dead_letter(record.rejections[0], record, InputIds("events", NOW_US), "events", 3)
    assert whole.payload == payload.decode(errors="replace")
    cut = dead_letter(
        record.rejections[0], record, InputIds("events", NOW_US), "events", 3, 100_000
    )
    assert whole.payload.startswith(cut.payload)
    assert 90_000 < len(msgspec.json.encode(cut.payload)) <= 100_000
    assert f"the first {len(cut.payload)} of {len(whole.payload)} characters" in cut.detail
    assert whole.detail == record.rejections[0].detail


def test_payloads_that_are_cut_are_counted():
    limits = FoldLimits(9, 9, 9, LIMITS.dead_letters, dead_letter_payload_bytes_max=100)
    folding = Folding(limits)
    folding.fold_lines([b"{" * 10])
    assert folding.core.take_reached() == {}
    folding.fold_lines([GOOD, b"{" * 200])
    assert folding.core.take_reached() == {"dead_letter_payload_bytes_max": 1}


def test_a_project_that_is_no_id_owns_nothing():
    line = GOOD.replace(b'"project_id":"p"', b'"project_id":"%s"' % (b"p" * 5000))
    line = line.replace(b'"id":"o"', b'"id":5')
    record = read(SourceRecord(7, NOW_US, line))
    assert (
        dead_letter(
            record.rejections[0], record, InputIds("events", NOW_US), "events", 3
        ).project_id
        == ""
    )


def test_texts_pass_through_as_they_were_escaped_and_null_is_none():
    line = GOOD.replace(
        b'"id":"o"', b'"id":"o","input":"\\u00e9 \\"q\\" \\n","output":null,"metadata":"{}"'
    )
    effects = Folding().fold_lines([line])
    assert b'"input":"\\u00e9 \\"q\\" \\n"' in msgspec.json.encode(effects.observations[0])
    assert (last_row(effects).input, last_row(effects).output) == ('é "q" \n', "")


def test_a_line_is_read_field_by_field_as_the_contract_says():
    lines = {field.name: field for field in msgspec.structs.fields(ObservationLine)}
    contract = {field.name: field for field in msgspec.structs.fields(Observation)}
    assert list(lines) == list(contract)
    for name, field in contract.items():
        if name not in ("input", "output", "metadata"):
            assert lines[name].default == field.default, name


def test_every_field_of_an_event_reaches_its_row():
    said = {
        "type": "GENERATION",
        "name": "n",
        "parent_id": "parent",
        "environment": "e",
        "start_us": NOW_US + 1,
        "end_us": NOW_US + 2,
        "completion_start_us": NOW_US + 2,
        "level": "WARNING",
        "status_message": "s",
        "version": "v",
        "model": "m",
        "model_parameters": '{"t":1}',
        "input": "i",
        "output": "o",
        "metadata": '{"k":1}',
        "prompt_name": "pn",
        "prompt_version": 4,
        "service_name": "sn",
        "scope_name": "scn",
        "scope_version": "scv",
        "app_root": True,
        "api_key": "pk-1",
        "reported_usage": '{"prompt_tokens":2}',
        "usage_uncertain": "total is 3, but the counts add up to 2",
        "service_tier": "flex",
        "provider": "azure",
        "error_type": "RateLimitError",
        "app_cache": "miss",
    }
    event = observation(**said, usage={"input": 2}, cost={"input": 8})
    assert msgspec.structs.asdict(event).keys() == said.keys() | {
        "project_id", "trace_id", "id", "ts_us", "partial", "usage", "cost", "trace", "app_entry",
    }  # fmt: skip
    row = last_row(Folding().fold(event))
    for field, value in said.items():
        assert getattr(row, field) == value, field
    assert (row.provided_usage, row.provided_cost_pico) == ({"input": 2}, {"input": 8})
    assert row.event_us == NOW_US
    assert last_row(Folding().fold(observation(app_entry=True))).app_root == ENTRY


def test_a_topic_that_is_mostly_unreadable_stops_the_stage_with_a_reason():
    guard = DeadLetterGuard(DeadLetterLimit(100, 0.5, 10), "events/3")
    guard.observe(readable=4, unreadable=2, offset=1)
    guard.observe(readable=1, unreadable=2, offset=2)
    with pytest.raises(TooManyDeadLettersError, match="6 of the last 11 lines in events/3"):
        guard.observe(readable=0, unreadable=2, offset=3)


def test_one_projects_failing_events_do_not_stop_the_others():
    guard = DeadLetterGuard(DeadLetterLimit(consecutive_max=5, ratio_max=0.5, sample_lines=10), "e")
    guard.observe(readable=1, unreadable=0, offset=1, good_project="other")
    for offset in range(2, 50):
        guard.observe(readable=0, unreadable=0, offset=offset, failing=["poison"] * 3)


def test_events_that_fail_for_every_project_stop_the_stage():
    guard = DeadLetterGuard(DeadLetterLimit(consecutive_max=5, ratio_max=0.5, sample_lines=10), "e")
    guard.observe(readable=2, unreadable=0, offset=1, good_project="p")
    guard.observe(readable=0, unreadable=0, offset=2, failing=["p", "q", "p"])
    with pytest.raises(TooManyDeadLettersError, match="6 consecutive lines"):
        guard.observe(readable=0, unreadable=0, offset=3, failing=["q", "p", "q"])


def test_unreadable_lines_in_a_row_stop_the_stage():
    folding = Folding()
    with pytest.raises(TooManyDeadLettersError, match="6 consecutive lines"):
        folding.fold_lines([b"{"] * 6)


def test_clients_with_a_wrong_clock_do_not_stop_the_stage():
    folding = Folding()
    late = [encode_event(observation(ts=9 * 86_400_000_000))] * 50
    assert len(folding.fold_lines(late).dead_letters) == 50
