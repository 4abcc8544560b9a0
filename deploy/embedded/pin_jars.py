"""Rewrite the lock file of the broker's jars: `python -m deploy.embedded.pin_jars`.

This resolves Kafka's runtime dependencies; `deploy.embedded.jars` downloads exactly these. `make
lock` runs it.
"""

from __future__ import annotations

import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from jgo.maven import MavenContext, Model

from deploy.embedded.jars import DOWNLOAD_THREADS, KAFKA_VERSION, LOCK_FILE, Jar, fetch_with_jgo

KAFKA = ("org.apache.kafka", "kafka_2.13", KAFKA_VERSION)
# The version of Log4j that Kafka depends on. It is not resolved together with Kafka, because jgo
# confuses the versions of two roots.
LOG4J_BINDING = ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.4")
POM_TIMEOUT_S = 60

HEADER = f"""\
# Jars of the embedded broker: Apache Kafka {KAFKA_VERSION}, its dependencies and Log4j binding.
# One artifact per line: group:artifact:version, SHA-256 of the jar, size. Written by `make lock`.
"""


def main() -> int:
    with TemporaryDirectory() as directory:
        repository = Path(directory)
        print("resolving the embedded broker's jars", file=sys.stderr, flush=True)
        names = _runtime_dependencies(repository) | {KAFKA, LOG4J_BINDING}
        with ThreadPoolExecutor(DOWNLOAD_THREADS) as pool:
            lines = list(pool.map(lambda name: _pin(name, repository), sorted(names)))
    LOCK_FILE.write_text(HEADER + "".join(lines), encoding="utf-8")
    return 0


def _runtime_dependencies(repository: Path) -> set[tuple[str, str, str]]:
    """Return group, artifact and version of Kafka's runtime dependencies."""
    context = MavenContext(repo_cache=repository, timeout=POM_TIMEOUT_S)
    group, artifact, version = KAFKA
    pom = context.project(group, artifact).at_version(version).pom()
    dependencies, _ = Model(pom, context).dependencies()
    return {
        (each.groupId, each.artifactId, each.version)
        for each in dependencies
        if each.scope in {"compile", "runtime"}
    }


def _pin(name: tuple[str, str, str], repository: Path) -> str:
    jar = Jar(*name, sha256="", size=0)
    content = fetch_with_jgo(jar, repository).read_bytes()
    return f"{jar} sha256={hashlib.sha256(content).hexdigest()} bytes={len(content)}\n"


if __name__ == "__main__":
    sys.exit(main())
