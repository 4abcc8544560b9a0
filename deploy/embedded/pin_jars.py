"""Writes the lock of the broker's jars anew: `python -m deploy.embedded.pin_jars` (part of `make lock`).

Resolves Kafka's runtime dependencies once, here, and never again: see `deploy.embedded.jars`.
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
# Of the Log4j version that Kafka itself depends on. Not resolved together with Kafka: jgo lets one
# of two roots overrule the versions of the other.
LOG4J_BINDING = ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.4")
POM_TIMEOUT_S = 60

HEADER = f"""\
# The jars of the embedded broker: Apache Kafka {KAFKA_VERSION}, its runtime dependencies and the Log4j binding for its logs.
# One artifact a line: group:artifact:version, the SHA-256 of the jar, its size. Rewritten by `make lock`.
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
    """Group, artifact and version of everything Kafka needs at run time."""
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
