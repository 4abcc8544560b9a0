"""The lock files: complete, hashed, and without the address of any registry."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent.parent
LOCKS = ROOT / "deploy" / "locks"


def locked_versions() -> dict[str, set[str]]:
    """The pinned versions of every distribution; some depend on the Python version."""
    versions: dict[str, set[str]] = {}
    for line in (LOCKS / "requirements.lock").read_text().splitlines():
        if match := re.match(r"([a-z0-9][a-z0-9.-]*)==([^ ;]+)", line):
            versions.setdefault(match[1], set()).add(match[2])
    return versions


def declared(path: Path) -> list[Requirement]:
    project = tomllib.loads(path.read_text())["project"]
    extras = project.get("optional-dependencies", {}).values()
    lines = [*project["dependencies"], *(line for extra in extras for line in extra)]
    return [Requirement(line) for line in lines if not line.startswith("tracemill-sdk")]


def test_every_declared_dependency_is_pinned_to_a_version_it_allows() -> None:
    locked = locked_versions()
    for path in (ROOT / "pyproject.toml", ROOT / "producers" / "sdk" / "pyproject.toml"):
        for requirement in declared(path):
            versions = locked.get(canonicalize_name(requirement.name), set())
            assert versions, f"{requirement.name} is not in the lock: make lock"
            for version in versions:
                assert requirement.specifier.contains(version), f"{requirement} is not {version}"


def test_every_pinned_distribution_has_a_hash() -> None:
    text = (LOCKS / "requirements.lock").read_text()
    for block in re.split(r"\n(?=[a-z0-9])", text):
        assert "--hash=sha256:" in block, block


def test_no_lock_names_a_registry() -> None:
    for path in LOCKS.glob("*.lock"):
        assert "://" not in path.read_text(), path
