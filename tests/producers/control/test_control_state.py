"""The fold of the control-plane log: what compaction removes must not matter."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from producers.control.keys import key_of_public_key
from producers.control.kinds.api_key import ApiKey
from producers.control.kinds.project import Project
from producers.control.record import ControlRecord, Tombstone
from producers.control.state import ControlState, identity, value_of
from producers.control.view import ControlView


@dataclass(frozen=True)
class Written:
    log_key: str
    value: bytes | None


def key(key_id: str, public_key: str, note: str = "", *, project_id: str = "p") -> ApiKey:
    return ApiKey(
        id=key_id,
        project_id=project_id,
        public_key=public_key,
        secret_hash="0" * 64,
        salt="s",
        created_us=1,
        note=note,
    )


@st.composite
def logs(draw: st.DrawFn) -> list[Written]:
    """Logs of several writers that change the same few ids and public keys at the same time."""
    log: list[Written] = []
    born: dict[str, int] = {}
    record_of: dict[str, ControlRecord] = {}
    for offset in range(draw(st.integers(0, 25))):
        known = sorted(born)
        action = draw(st.sampled_from(["create", "change", "delete"] if known else ["create"]))
        if action == "create":
            record: ControlRecord
            if draw(st.booleans()):
                record = key(
                    draw(st.sampled_from("ab")),
                    draw(st.sampled_from(["x", "y"])),
                    project_id=draw(st.sampled_from("pq")),
                )
            else:
                record = Project(id=draw(st.sampled_from("ab")), name=str(offset), created_us=1)
            log_key = f"{identity(record)}/{offset}"
            born[log_key], record_of[log_key] = offset, record
            log.append(Written(log_key, value_of(record, None)))
            continue
        log_key = draw(st.sampled_from(known))
        if action == "delete":
            del born[log_key]
            log.append(Written(log_key, None))
        else:
            field = "note" if isinstance(record_of[log_key], ApiKey) else "name"
            record = record_of[log_key].model_copy(update={field: f"at {offset}"})
            log.append(Written(log_key, value_of(record, born[log_key])))
    return log


def folded(log: list[tuple[int, Written]]) -> tuple[ControlView, dict[str, ControlRecord]]:
    """The view, and what a subscriber that only hears changes would believe."""
    state = ControlState()
    believed: dict[str, ControlRecord] = {}
    for offset, written in log:
        for change in state.apply(written.log_key, written.value, offset):
            if isinstance(change, Tombstone):
                del believed[identity(change)]
            else:
                believed[identity(change)] = change
    return state.view, believed


def compacted(log: list[tuple[int, Written]]) -> list[tuple[int, Written]]:
    last = {written.log_key: offset for offset, written in log}
    return [(offset, written) for offset, written in log if last[written.log_key] == offset]


@given(logs(), st.data())
def test_a_log_compacted_up_to_anywhere_folds_to_the_same_view(
    log: list[Written], data: st.DataObject
) -> None:
    full = list(enumerate(log))
    cut = data.draw(st.integers(0, len(full)))
    shorter = compacted(full[:cut]) + full[cut:]

    assert folded(full)[0] == folded(shorter)[0]
    assert folded(full)[0] == folded(compacted(full))[0]


@given(logs())
def test_tombstones_may_be_gone_too(log: list[Written]) -> None:
    full = list(enumerate(log))
    kept = [(offset, written) for offset, written in compacted(full) if written.value is not None]

    assert folded(full)[0] == folded(kept)[0]


@given(logs())
def test_who_only_hears_changes_believes_what_is_in_the_view(log: list[Written]) -> None:
    view, believed = folded(list(enumerate(log)))

    assert believed == {identity(record): record for record in view.records()}


@given(logs())
def test_every_record_is_found_by_its_project_and_by_its_unique_key(log: list[Written]) -> None:
    view, believed = folded(list(enumerate(log)))

    keys = [record for record in believed.values() if isinstance(record, ApiKey)]
    for project_id in ("p", "q"):
        of_project = {key.id: key for key in keys if key.project_id == project_id}
        assert view.in_project(ApiKey, project_id) == of_project
    for public_key in ("x", "y"):
        holder = next((key for key in keys if key.public_key == public_key), None)
        assert key_of_public_key(view, public_key) == holder


@given(logs())
def test_a_process_that_keeps_one_kind_sees_it_as_the_others_do(log: list[Written]) -> None:
    partial = ControlState(only=[ApiKey])
    for offset, written in enumerate(log):
        partial.apply(written.log_key, written.value, offset)

    assert partial.view[ApiKey] == folded(list(enumerate(log)))[0][ApiKey]
    assert partial.view[Project] == {}


@given(logs())
def test_no_id_and_no_public_key_is_held_twice(log: list[Written]) -> None:
    view, _ = folded(list(enumerate(log)))

    public_keys = [record.public_key for record in view[ApiKey].values()]
    assert len(public_keys) == len(set(public_keys))


def test_the_first_creation_in_the_log_wins() -> None:
    state = ControlState()
    first, second = key("a", "x", "first"), key("a", "x", "second")

    assert state.apply("api_key/a/1", value_of(first, None), 0) == [first]
    assert state.apply("api_key/a/2", value_of(second, None), 1) == []
    assert state.view[ApiKey] == {"a": first}
    assert state.apply("api_key/a/1", None, 2) == [second]
