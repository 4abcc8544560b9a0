"""`tracemill prompts`: files are exported, imported, compared, and labels rolled back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from typer.testing import CliRunner

from deploy.cli import app
from deploy.failures import exit_code_for
from tests.deploy.mocked_api import mock_api

PROMPTS = "/api/public/v2/prompts"


class Server:
    """Prompts by name, as the routes of the API return them."""

    def __init__(self) -> None:
        self.prompts: dict[str, list[dict[str, Any]]] = {}
        self.writes: list[tuple[str, Any]] = []

    def respond(self, request: httpx.Request) -> httpx.Response:
        path = unquote(request.url.raw_path.decode().partition("?")[0])
        body = json.loads(request.content) if request.content else None
        if request.method != "GET":
            self.writes.append((request.method, body))
        if request.method == "POST":
            versions = self.prompts.setdefault(body["name"], [])
            new = {"config": {}, "tags": [], **body, "version": len(versions) + 1, "labels": []}
            versions.append(new)
            self._move(versions, new, [*body["labels"], "latest"])
            return httpx.Response(201, json=new)
        if request.method == "PATCH":
            name, _, number = path.removeprefix(f"{PROMPTS}/").partition("/versions/")
            version = self.prompts[name][int(number) - 1]
            self._move(self.prompts[name], version, body["newLabels"])
            return httpx.Response(200, json=version)
        if path == PROMPTS:
            return httpx.Response(200, json=self._listed(request.url.params))
        label = request.url.params["label"]
        for version in self.prompts.get(path.removeprefix(f"{PROMPTS}/"), []):
            if label in version["labels"]:
                shown = dict(version)
                if request.url.params.get("resolve") != "false" and shown["type"] == "text":
                    shown["prompt"] = shown["prompt"].replace("@@@r@@@", "rules")
                return httpx.Response(200, json=shown)
        return httpx.Response(404, json={"message": "Prompt not found", "error": "x"})

    def _move(self, versions: list[dict[str, Any]], target: dict[str, Any], labels: Any) -> None:
        for version in versions:
            version["labels"] = [each for each in version["labels"] if each not in labels]
        target["labels"] += list(dict.fromkeys(labels))

    def _listed(self, params: httpx.QueryParams) -> dict[str, Any]:
        data = [
            {"name": name, "versions": [each["version"] for each in versions]}
            for name, versions in sorted(self.prompts.items())
            if params.get("name") in {None, name}
            and any(params.get("label") in {None, *each["labels"]} for each in versions)
        ]
        return {"data": data, "meta": {"totalPages": 1}}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    mock_api(monkeypatch, server.respond)
    return server


def run(*words: str, code: int = 0) -> str:
    ended = CliRunner().invoke(app, ["prompts", *words], terminal_width=1_000)
    assert ended.exit_code == code, ended.output
    return ended.output if ended.exception is None else f"{ended.output}{ended.exception}"


def changes(*words: str) -> list[tuple[str, str, int]]:
    found = json.loads(run(*words, "--json"))["data"]
    return [(each["name"], each["change"], each["version"]) for each in found]


def test_a_file_of_an_application_is_imported_once(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "prompts.json"
    file.write_text(
        json.dumps(
            {
                "folder/plan": {"template": "Plan {{ x }} {% if y %}…{% endif %}"},
                "chat": {"prompt": [{"role": "user", "content": "hi"}], "config": {"t": 1}},
                "plain": "text",
            }
        )
    )
    first = changes("import", str(file), "--label", "production", "--dry-run")
    assert first == [("chat", "created", 1), ("folder/plan", "created", 1), ("plain", "created", 1)]
    assert not server.writes
    assert changes("import", str(file), "--label", "production") == first
    written = len(server.writes)
    again = changes("import", str(file), "--label", "production")
    assert {each[1] for each in again} == {"unchanged"}
    assert len(server.writes) == written
    assert changes("import", str(file), "--label", "x")[0] == ("chat", "labeled", 1)


def test_what_is_exported_is_a_fallback_and_imports_without_a_change(
    server: Server, tmp_path: Path
) -> None:
    file = tmp_path / "prompts.json"
    file.write_text(
        json.dumps({"a": {"prompt": "see @@@r@@@", "labels": ["production"]}, "b": "x"})
    )
    run("import", str(file))
    out = tmp_path / "out.json"
    run("export", "--output", str(out))
    exported = json.loads(out.read_text())
    assert exported == {
        "a": {
            "type": "text", "prompt": "see rules", "source": "see @@@r@@@", "config": {},
            "labels": ["production"], "tags": [], "version": 1,
        }
    }  # fmt: skip
    assert run("export") == out.read_text()
    assert changes("import", str(out)) == [("a", "unchanged", 1)]
    assert run("diff", str(out)) == ""
    assert "no prompt b has the label production" in run("export", "b", code=1)


def test_differences_are_printed_and_set_the_exit_status(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "prompts.json"
    file.write_text(json.dumps({"a": "one\ntwo"}))
    run("import", str(file), "--label", "production")
    file.write_text(json.dumps({"a": "one\nthree", "b": "new"}))
    run("import", str(file))  # gets the label `latest` only
    printed = run("diff", str(file), "--label", "production", code=1)
    assert "a (production, version 1)" in printed
    assert "-two\n+three" in printed
    assert "b (no production version)" in printed


@pytest.mark.parametrize("labels", [[], ["staging"], ["staging", "production"]])
@pytest.mark.usefixtures("server")
def test_a_file_does_not_differ_after_its_import(labels: list[str], tmp_path: Path) -> None:
    file = tmp_path / "prompts.json"
    file.write_text(json.dumps({"a": {"prompt": "one", "labels": labels}}))
    run("import", str(file))
    assert run("diff", str(file)) == ""
    file.write_text(json.dumps({"a": {"prompt": "two", "labels": labels}}))
    assert f"a ({labels[-1] if labels else 'latest'}, version 1)" in run("diff", str(file), code=1)


def test_a_label_is_rolled_back_to_the_version_before(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "prompts.json"
    for text in ("one", "two", "three"):
        file.write_text(json.dumps({"f/a": {"prompt": text, "labels": ["production"]}}))
        run("import", str(file))
    for words, version in ((["rollback", "f/a"], 2), (["rollback", "f/a", "--to", "1"], 1)):
        assert json.loads(run(*words, "--json"))["version"] == version
        assert "production" in server.prompts["f/a"][version - 1]["labels"]
    assert json.loads(run("rollback", "f/a", "--to", "1", "--json"))["change"] == "unchanged"
    assert "no version before version 1" in run("rollback", "f/a", code=1)
    assert "set --to" in run("rollback", "f/a", "--label", "none", code=1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "must contain an object"), ("{", "cannot be read as JSON"), ('{"a": 1}', "a: must"),
        ('{"a": {}}', "has no field `prompt`"), ('{"a": {"prompt": 1}}', "a.prompt: must be"),
        ('{"a": {"prompt": "x", "labels": "y"}}', "a.labels: must be an array"),
    ],
)  # fmt: skip
def test_an_invalid_file_is_refused_with_the_prompt(
    server: Server, tmp_path: Path, content: str, message: str
) -> None:
    file = tmp_path / "prompts.json"
    file.write_text(content)
    assert message in run("import", str(file), code=1)
    ended = CliRunner().invoke(app, ["prompts", "import", str(file)])
    assert exit_code_for(ended.exception) == 2
    assert not server.writes


def test_files_that_cannot_be_read_or_written_are_invalid_arguments(
    server: Server, tmp_path: Path
) -> None:
    nowhere = str(tmp_path / "nowhere" / "prompts.json")
    for words in (["import", nowhere], ["diff", nowhere], ["export", "--output", nowhere]):
        ended = CliRunner().invoke(app, ["prompts", *words])
        assert exit_code_for(ended.exception) == 2
        assert str(ended.exception).startswith(f"{nowhere} cannot be ")


def test_prompts_are_imported_after_those_that_they_include(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "prompts.json"
    file.write_text(json.dumps({"a": "@@@langfusePrompt:name=z|label=latest@@@", "z": "rules"}))
    assert [each[0] for each in changes("import", str(file))] == ["z", "a"]
