"""Keeps the code in order: short modules, and no definition that nothing uses."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("producers", "streams", "query_api", "clickhouse", "deploy")
LINES_MAX = 400
CALLED_FROM_OUTSIDE = {
    "current_span": "a user of the SDK",
    "aflush": "a user of the SDK",
    "acheck_budget": "a user of the SDK",
    "_create_directories": "faust",
    "on_start": "faust",
    "capture_signals": "uvicorn",
    "call_binop": "jinja2",
    "WebhookDeliveries": "the registry of kinds of jobs, which finds subclasses",
    "DeadLetterReplays": "the registry of kinds of jobs, which finds subclasses",
    "AlertTests": "the registry of kinds of jobs, which finds subclasses",
    "PromptEvents": "the registry of kinds of jobs, which finds subclasses",
    "TraceDeletionJobs": "the registry of kinds of jobs, which finds subclasses",
    "VersionCreated": "the registry of notification events, which finds subclasses",
    "LabelsChanged": "the registry of notification events, which finds subclasses",
    "PromptDeleted": "the registry of notification events, which finds subclasses",
    "EmailChannel": "the registry of types of channels, which finds subclasses",
    "WebhookChannel": "the registry of types of channels, which finds subclasses",
    "ROW_OF_TABLE": "tests",
    "file_for_tests": "tests",
}
"""Names that occur once in the product, and who uses them."""


def modules() -> Iterator[Path]:
    for package in PACKAGES:
        yield from (ROOT / package).rglob("*.py")


def templates() -> Iterator[str]:
    for package in PACKAGES:
        yield from (path.read_text() for path in (ROOT / package).rglob("*.html"))


def test_modules_are_short() -> None:
    lengths = {path: path.read_text().count("\n") for path in modules()}
    assert not {
        str(path.relative_to(ROOT)): lines for path, lines in lengths.items() if lines > LINES_MAX
    }


def test_every_definition_is_used() -> None:
    texts = {path: path.read_text() for path in modules()}
    occurrences = Counter(
        word
        for text in (*texts.values(), *templates(), (ROOT / "pyproject.toml").read_text())
        for word in re.findall(r"\w+", text)
    )
    unused = {
        name: str(path.relative_to(ROOT))
        for path, text in texts.items()
        for name in _definitions(ast.parse(text))
        if occurrences[name] == 1
    }
    assert {name: at for name, at in unused.items() if name not in CALLED_FROM_OUTSIDE} == {}
    assert set(CALLED_FROM_OUTSIDE) <= set(unused), "an exception that is no longer needed"


def _definitions(module: ast.Module) -> Iterator[str]:
    """Yield functions, methods and classes that no decorator registers, and constants."""
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if not node.decorator_list and not node.name.startswith("__"):
                yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
            yield from (t.id for t in targets if isinstance(t, ast.Name) and t.id.isupper())
