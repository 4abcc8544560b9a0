"""What the README and docs show works when pasted: requests, commands, programs and paths."""

from __future__ import annotations

import ast
import importlib
import json
import re
import shlex
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import click
import pytest
import typer

from deploy.cli import app
from tests.query_api.harness import Api
from tests.query_api.test_openapi_document import DOCUMENT
from tests.query_api.test_openapi_examples import PUBLIC_ADDRESS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
TEXTS = [README, *(each.read_text() for each in sorted((ROOT / "docs").glob("*.md")))]
BLOCKS = [
    found
    for text in TEXTS
    for found in re.findall(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
]
SHELL = [text for language, text in BLOCKS if language == "sh"]
PYTHON = [text for language, text in BLOCKS if language == "python"]
ORIGIN = "http://127.0.0.1:7700"
EXTERNAL = {"/metrics"}
"""Paths that the API's description leaves out."""
_COMMENT = re.compile(r"(^|[ \t])# .*$", re.MULTILINE)
_NAMED = re.compile(r"`(GET|POST|PUT|PATCH|DELETE) (/[^\s`?]+)")


def commands(block: str) -> Iterator[list[str]]:
    """Yield the words of each simple command."""
    text = _COMMENT.sub("", block).replace("\\\n", " ")
    lexer = shlex.shlex(text, posix=True, punctuation_chars="();<>|&\n")
    lexer.whitespace, lexer.commenters, lexer.whitespace_split = " \t", "", True
    words: list[str] = []
    for token in lexer:
        if token and set(token) <= set("();<>|&\n"):
            yield words
            words = []
        else:
            words.append(token)
    yield words


COMMANDS = [words for block in SHELL for words in commands(block) if words]
CALLS = [words for words in COMMANDS if words[0] == "curl" and "$1" not in words[-1]]
OWN = [words[1:] for words in COMMANDS if words[0] == "tracemill"]


def test_blocks_of_each_kind_are_found() -> None:
    assert len(SHELL) > 10
    assert len(PYTHON) >= 3
    assert len(CALLS) >= 5
    assert len(OWN) >= 15


@pytest.mark.parametrize("block", SHELL)
def test_the_shell_can_parse_each_block(block: str) -> None:
    subprocess.run(["bash", "-n"], input=block, text=True, check=True, timeout=60)


@pytest.mark.parametrize("words", OWN, ids=" ".join)
def test_each_command_exists_with_its_options(words: list[str]) -> None:
    command: click.Command = typer.main.get_command(app)
    context = command.make_context("tracemill", list(words))
    while isinstance(command, click.Group):
        name, found, rest = command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        assert found is not None
        command = found
        context = command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("words", CALLS, ids=lambda words: words[-1][:60])
async def test_each_request_is_accepted(
    api: Api, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [PUBLIC_ADDRESS])
    (url,) = [urlsplit(each) for each in words if each.startswith(ORIGIN)]
    sent = words[words.index("-d") + 1] if "-d" in words else None
    answer = await api.client.request(
        "GET" if sent is None else "POST",
        f"{url.path}?{url.query}",
        json=None if sent is None else json.loads(sent),
    )
    # Decisions are not loaded here.
    assert answer.is_success or answer.status_code == 503, answer.text


@pytest.mark.parametrize("program", PYTHON)
def test_names_of_programs_exist(program: str) -> None:
    for node in ast.walk(ast.parse(program)):
        if isinstance(node, ast.ImportFrom) and node.module == "tracemill":
            module = importlib.import_module(node.module)
            assert all(hasattr(module, each.name) for each in node.names)


@pytest.mark.parametrize("target", sorted({words[1] for words in COMMANDS if words[0] == "make"}))
def test_targets_of_make_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_routes_that_texts_name_exist() -> None:
    known = {
        (method.upper(), _pattern(path))
        for path, item in DOCUMENT["paths"].items()
        for method in item
    }
    named = {found for text in TEXTS for found in _NAMED.findall(text) if "…" not in found[1]}
    assert len(named) > 30
    unknown = [
        f"{method} {path}"
        for method, path in sorted(named)
        if path not in EXTERNAL
        and not any(method == each and re.fullmatch(pattern, path) for each, pattern in known)
    ]
    assert unknown == []


def _pattern(path: str) -> str:
    """Return a regular expression of the paths of a route."""
    return re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(path))
