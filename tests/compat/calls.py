"""The calls of SDKs that programs make, and the state that each has, by version.

``states.json`` has the states. A test makes every call and compares; ``docs/langfuse-sdks.md`` is
written from the file (``make docs``), so that it names no call that is not tested.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
STATES_FILE: Final = HERE / "states.json"
DOCUMENT: Final = HERE.parents[1] / "docs" / "langfuse-sdks.md"
TEST: Final = "tests/compat/test_calls.py"
States = dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True)
class Sdk:
    """A version of an SDK, and the program that makes its calls."""

    label: str
    requirement: str
    """Of pip, or the directory with the lock file of npm."""
    program: str
    language: str


SDKS: Final = (
    Sdk("Python 2.27", "langfuse==2.27.3", "python_v2.py", "Python"),
    Sdk("Python 2.60", "langfuse==2.60.10", "python_v2.py", "Python"),
    Sdk("Python 3.15", "langfuse==3.15.0", "python.py", "Python"),
    Sdk("Python 4.18", "langfuse==4.18.0", "python.py", "Python"),
    Sdk("Python 5.0", "langfuse==5.0.4", "python.py", "Python"),
    Sdk("JavaScript 3.39", "langfuse_v3", "javascript.mjs", "JavaScript"),
    Sdk("JavaScript 4.6", "langfuse_v4", "javascript.mjs", "JavaScript"),
    Sdk("JavaScript 5.11", "langfuse_v5", "javascript.mjs", "JavaScript"),
)
SIGNS: Final = {
    "works": "works",
    "not in the SDK": "–",
    "not served": "not served",
}
"""How the document shows each state."""
_INTRODUCTION: Final = f"""# Calls of Langfuse's SDKs

Unmodified SDKs make these calls to a whole installation, and each effect is read back, or the
answer is compared, in `{TEST}`. `make docs` writes this file.

* works: the call has its effect, and the SDK accepts the answer
* –: this version of the SDK has no such call
* not served: tracemill has no such route; the SDK gets a 404 that says what is not served, also for
  the writes of the group

JavaScript 6 is not on npm yet. What it sends is what Python 5 sends: compressed OTLP, lists of
scores, and experiments as attributes of spans.
"""


def read_states() -> States:
    found: States = json.loads(STATES_FILE.read_text())
    return found


def document(states: States) -> str:
    """Return the text of the document."""
    lines = [_INTRODUCTION]
    for language in ("Python", "JavaScript"):
        labels = [each.label for each in SDKS if each.language == language]
        calls = dict.fromkeys(call for label in labels for call in states.get(label, {}))
        lines.append(f"## {language}\n")
        lines.append(f"| call | {' | '.join(each.split()[1] for each in labels)} |")
        lines.append("| --- |" + " --- |" * len(labels))
        for call in calls:
            shown = [SIGNS[states[label].get(call, "not in the SDK")] for label in labels]
            lines.append(f"| `{call}` | {' | '.join(shown)} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    DOCUMENT.write_text(document(read_states()))
