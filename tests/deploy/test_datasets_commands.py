"""`tracemill datasets import`: which items a file has, and what is reported."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
from pyarrow import parquet
from typer.testing import CliRunner

from deploy.cli import app
from deploy.dataset_files import lines_in
from deploy.failures import exit_code_for
from tests.deploy.mocked_api import mock_api


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Refuse items whose input is "bad", and return the bodies of imports."""
    bodies: list[Any] = []

    def respond(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        if not request.url.path.endswith("/items"):
            return httpx.Response(200, json=body)
        if any(item.get("input") == "refuse the request" for item in body["items"]):
            error = {"code": "invalid_request", "message": "items.0.input: must be polite"}
            return httpx.Response(422, json={"error": error})
        bodies.append(body)
        refused = [
            {"index": index, "message": "it is bad"}
            for index, item in enumerate(body["items"])
            if item.get("input") == "bad"
        ]
        written = len(body["items"]) - len(refused)
        return httpx.Response(200, json={"written": written, "refused": refused})

    mock_api(monkeypatch, respond)
    return bodies


def run(file: Path, *words: str, code: int = 0) -> str:
    ended = CliRunner().invoke(app, ["datasets", "import", str(file), "--dataset", "d", *words])
    assert ended.exit_code == code, (ended.output, ended.exception)
    return ended.output


def items(sent: list[Any]) -> list[Any]:
    return [item for body in sent for item in body["items"]]


def test_lines_of_json_are_imported_and_refused_ones_reported(
    sent: list[Any], tmp_path: Path
) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(
        '{"id":"x","input":{"q":1},"expectedOutput":"ü"}\n\nnot json\n{"input":"bad"}\n[1]\n'
        '{"input":1,"other":2}\n{"input":2,"status":"ARCHIVED"}\n'
    )
    report = tmp_path / "refused.jsonl"
    printed = run(file, "--refused", str(report), code=1)
    assert "2 items written, 4 lines refused" in printed
    assert "a.jsonl:4: it is bad" in printed
    refused = [json.loads(line) for line in report.read_text().splitlines()]
    assert [each["line"] for each in refused] == [3, 4, 5, 6]
    first, _, last = items(sent)
    assert first == {"id": "x", "input": {"q": 1}, "expected_output": "ü"}
    assert (last["input"], last["status"]) == (2, "ARCHIVED")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"input": NaN}', "NaN is not JSON"),
        ('{"input": {"a": [1e400]}}', "input: it cannot be stored as JSON"),
        ('{"input": "\\ud800"}', "input: it cannot be stored as JSON"),
        ('{"input": 1, "id": 5}', "id: must be a text of at most"),
        ('{"input": 1, "source_trace_id": ["t"]}', "source_trace_id: must be a text of at most"),
        ('{"input": 1, "status": "X"}', "status: must be ACTIVE or ARCHIVED, not 'X'"),
        ('{"expected_output": 1}', "input: an item without an id needs one"),
        ("{}", "input: an item without an id needs one"),
        ('{"input": 1, "expectedOutput": 1, "expected_output": 2}', "both of its spellings"),
        ("[" * 100_000, "not JSON"),
        ('{"input": "refuse the request"}', "items.0.input: must be polite"),
    ],
)
def test_a_line_that_cannot_be_sent_is_refused_and_the_others_are_written(
    sent: list[Any], tmp_path: Path, line: str, reason: str
) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(
        f'{{"input": 1}}\n{line}\n{{"id": "x", "expected_output": 3}}\n{{"input": 4}}\n'
    )
    printed = run(file, code=1)
    assert "3 items written, 1 lines refused" in printed
    assert "a.jsonl:2: " in printed
    assert reason in printed
    assert [item.get("input") for item in items(sent)] == [1, None, 4]


def test_texts_of_csv_are_read_as_spreadsheets_write_them(sent: list[Any], tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    rows = '\ufeffinput,metadata,,\r\n\r\n"say ""hi"",\r\nplease","[NaN]",,\r\n'
    file.write_bytes(rows.encode())
    assert "1 items written, 0 lines refused" in run(file)
    (item,) = items(sent)
    assert (item["input"], item["metadata"]) == ('say "hi",\r\nplease', "[NaN]")


def test_columns_of_csv_become_inputs_and_expected_outputs(sent: list[Any], tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text('input,expected_output,metadata,id\n"a, b",1,"{""k"": [1]}",7\nc,,,\n')
    run(file)
    first, second = items(sent)
    assert first == {
        "id": "7", "input": "a, b", "expected_output": "1", "metadata": {"k": [1]},
    }  # fmt: skip
    assert second["input"] == "c"
    sent.clear()
    file.write_text("question,context,answer\nq,c,a\nq,c\n")
    run(file, "--input", "question", "--input", "context", "--expected", "answer", code=1)
    (item,) = items(sent)
    assert item["input"] == {"question": "q", "context": "c"}
    assert item["expected_output"] == "a"


def test_a_repeated_import_sends_the_same_ids(sent: list[Any], tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"input":1}\n' * 450)
    for _ in range(2):
        assert "450 items written, 0 lines refused" in run(file)
    assert [len(body["items"]) for body in sent] == [200, 200, 50] * 2
    ids = [item["id"] for item in items(sent)]
    assert ids[:450] == ids[450:]
    assert len(set(ids)) == 450


def test_rows_of_parquet_keep_their_types(sent: list[Any], tmp_path: Path) -> None:
    file = tmp_path / "a{1}*.parquet"
    table = {
        "id": range(450),
        "input": [{"n": number, "text": "ü"} for number in range(450)],
        "expectedOutput": [[1.5, float(number)] for number in range(450)],
        "question": ["bad" if number == 1 else None for number in range(450)],
        "other": [number == 0 for number in range(450)],
        "big": pa.array([18446744073709551615] * 450, pa.uint64()),
    }
    parquet.write_table(pa.table(table), file)
    assert "450 items written, 0 lines refused" in run(file)
    found = items(sent)
    assert [item["id"] for item in found] == [str(number) for number in range(450)]
    expected = {"id": "7", "input": {"n": 7, "text": "ü"}, "expected_output": [1.5, 7]}
    assert found[7] == expected
    sent.clear()
    words = ("--input", "question", "--input", "big", "--expected", "other")
    run(file, *words)
    second = items(sent)[1]
    assert second["input"] == {"question": "bad", "big": 18446744073709551615}
    assert second["expected_output"] is False
    assert lines_in(file) == 450


AT = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


@pytest.mark.parametrize(
    ("values", "of_type", "expected"),
    [
        ([Decimal("1.10")], pa.decimal128(10, 2), 1.1),
        ([Decimal("7.00")], pa.decimal128(10, 2), 7),
        ([Decimal("0.12345678901234567891")], pa.decimal128(38, 20), "0.12345678901234567891"),
        ([AT], pa.timestamp("us", "UTC"), "2026-01-02T03:04:05.000678Z"),
        ([AT], pa.timestamp("us", "Asia/Shanghai"), "2026-01-02T11:04:05.000678+08:00"),
        ([AT.replace(tzinfo=None)], pa.timestamp("ns"), "2026-01-02T03:04:05.000678"),
        ([AT.date()], pa.date32(), "2026-01-02"),
        ([timedelta(seconds=1.5)], pa.duration("us"), 1.5),
        ([float("nan")], pa.float64(), None),
        ([b"\xc3\xbc"], pa.binary(), "ü"),
        ([[{"a": None, "b": [None, 1]}]], None, [{"a": None, "b": [None, 1]}]),
        ([None], pa.list_(pa.int64()), None),
        ([[("k", Decimal("0.5"))]], pa.map_(pa.string(), pa.decimal128(3, 1)), {"k": 0.5}),
        (pa.array(["x"]).dictionary_encode(), None, "x"),
    ],
)
def test_values_of_parquet_become_those_of_json(
    sent: list[Any], tmp_path: Path, values: Any, of_type: pa.DataType, expected: Any
) -> None:
    file = tmp_path / "a.parquet"
    column = values if isinstance(values, pa.Array) else pa.array(values, of_type)
    parquet.write_table(pa.table({"question": [1], "answer": column}), file)
    run(file, "--input", "question", "--expected", "answer")
    (item,) = items(sent)
    assert item["expected_output"] == expected


def test_rows_of_parquet_without_an_input_are_refused(sent: list[Any], tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    inputs = pa.array([{"q": "a"}, None], pa.struct([("q", pa.string())]))
    parquet.write_table(pa.table({"input": inputs}), file)
    printed = run(file, code=1)
    assert "a.parquet:2: input: an item without an id needs one" in printed
    assert [item["input"] for item in items(sent)] == [{"q": "a"}]


@pytest.mark.usefixtures("sent")
def test_a_file_that_cannot_be_used_is_explained(tmp_path: Path) -> None:
    for name, text in (
        ("a.txt", "x"),
        ("a.csv", "question\nq\n"),
        ("b.csv", "input\n\udc80\n"),
        ("d.csv", "input,input\na,b\n"),
        ("e.csv", "input,expectedOutput,expected_output\na,b,c\n"),
        ("f.csv", 'input\n"not closed\n'),
        ("g.csv", ""),
        ("c.parquet", "PAR1"),
    ):
        file = tmp_path / name
        file.write_bytes(text.encode("utf-8", "surrogateescape"))
        ended = CliRunner().invoke(app, ["datasets", "import", str(file), "--dataset", "d"])
        assert exit_code_for(ended.exception) == 2
        assert name in str(ended.exception)
    twice = pa.table([pa.array([1]), pa.array([2])], names=["input", "input"])
    parquet.write_table(twice, tmp_path / "h.parquet")
    ended = CliRunner().invoke(
        app, ["datasets", "import", str(tmp_path / "h.parquet"), "--dataset", "d"]
    )
    assert "h.parquet has the column 'input' twice" in str(ended.exception)
    for absent in (tmp_path, tmp_path / "absent.jsonl"):
        ended = CliRunner().invoke(app, ["datasets", "import", str(absent), "--dataset", "d"])
        assert exit_code_for(ended.exception) == 2
        assert "cannot be read" in str(ended.exception)


def test_a_report_that_cannot_be_written_is_refused_before_the_import(
    sent: list[Any], tmp_path: Path
) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"input": 1}\n')
    words = ["datasets", "import", str(file), "--dataset", "d", "--refused", str(tmp_path)]
    ended = CliRunner().invoke(app, words)
    assert exit_code_for(ended.exception) == 2
    assert "cannot be written" in str(ended.exception)
    assert not sent
