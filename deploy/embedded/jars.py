"""Download the broker's jars, pinned by name and SHA-256, into a cache directory.

The lock file lists every jar, so no versions are resolved at run time. A jar with another hash than
in the lock file is never used.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from deploy.cache_lock import locked_cache
from deploy.embedded.progress import Progress, show_progress
from deploy.embedded.settings import EmbeddedSettings
from deploy.errors import DownloadError

KAFKA_VERSION = "4.3.1"
LOCK_FILE = Path(__file__).parent.parent / "locks" / "kafka-jars.lock"

DOWNLOAD_THREADS = 8
DOWNLOAD_ATTEMPTS = 2
DOWNLOAD_TIMEOUT_S = 10
RETRY_AFTER_S = 0.5

_NO_NETWORK_ADVICE = "--broker HOST:PORT uses another broker instead"


@dataclass(frozen=True, slots=True)
class Jar:
    """A pinned artifact; `size` is in bytes, `sha256` in lower-case hexadecimal."""

    group: str
    artifact: str
    version: str
    sha256: str
    size: int

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"

    def __str__(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"


Fetcher = Callable[[Jar, Path], Path]
"""Download a jar into the given directory and return its path; raise OSError if that fails."""


def kafka_cache_dir() -> Path:
    """Return the directory of this version's jars."""
    return EmbeddedSettings().cache_dir / f"kafka-{KAFKA_VERSION}"


def read_lock(lock_file: Path = LOCK_FILE) -> list[Jar]:
    """Return the pinned jars in the order of the file.

    Raises:
        DownloadError: a line of the file is invalid.
    """
    jars = []
    for line in lock_file.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        try:
            name, sha256, size = line.split()
            group, artifact, version = name.split(":")
            jars.append(
                Jar(
                    group,
                    artifact,
                    version,
                    sha256.removeprefix("sha256="),
                    int(size.removeprefix("bytes=")),
                )
            )
        except ValueError as error:
            message = f"{lock_file}: {line!r} is not 'GROUP:ARTIFACT:VERSION sha256=… bytes=…'"
            raise DownloadError(message) from error
    return jars


def ensure_jars(
    cache_dir: Path, *, lock_file: Path = LOCK_FILE, fetch: Fetcher | None = None
) -> list[Path]:
    """Return the paths of all pinned jars; fetch those that are missing or damaged.

    1. Lock the cache, because several processes may start at the same time. 2. Hash existing jars.
    3. Fetch the others into a staging directory. 4. Verify each and rename it into place.

    Raises:
        DownloadError: a jar cannot be fetched, or its hash differs.
    """
    jars = read_lock(lock_file)
    with locked_cache(cache_dir):
        missing = [jar for jar in jars if not _is_pinned(jar, cache_dir / jar.file_name)]
        if missing:
            _fetch_all(missing, cache_dir, fetch or fetch_with_jgo)
    return [cache_dir / jar.file_name for jar in jars]


def fetch_with_jgo(jar: Jar, directory: Path) -> Path:
    """Fetch one jar by its coordinates with jgo, a Maven client in Python."""
    from jgo.maven import MavenContext  # noqa: PLC0415  (needed only for the first start)

    context = MavenContext(repo_cache=directory, timeout=DOWNLOAD_TIMEOUT_S)
    component = context.project(jar.group, jar.artifact).at_version(jar.version)
    try:
        return Path(component.artifact().resolve())
    except RuntimeError as error:  # what jgo raises if no repository answers 200
        raise OSError("no repository has it") from error


def _fetch_all(jars: list[Jar], cache_dir: Path, fetch: Fetcher) -> None:
    # The directory is in the cache, because a rename is atomic only within one file system.
    staging = Path(mkdtemp(prefix=".staging-", dir=cache_dir))
    title = f"fetching Apache Kafka {KAFKA_VERSION}"
    try:
        with (
            show_progress(title, sum(jar.size for jar in jars)) as progress,
            ThreadPoolExecutor(DOWNLOAD_THREADS) as pool,
        ):
            running = [pool.submit(_fetch_one, jar, staging, cache_dir, fetch) for jar in jars]
            _await_all(running, progress, pool)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _await_all(running: list[Future[int]], progress: Progress, pool: ThreadPoolExecutor) -> None:
    try:
        for done in as_completed(running):
            progress.advance(done.result())
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise


def _fetch_one(jar: Jar, staging: Path, cache_dir: Path, fetch: Fetcher) -> int:
    for attempt in range(1, DOWNLOAD_ATTEMPTS + 1):
        try:
            path = fetch(jar, staging / f"{jar.artifact}-{attempt}")
            break
        except OSError as error:  # requests' exceptions are OSErrors, too
            if attempt == DOWNLOAD_ATTEMPTS:
                raise DownloadError(
                    f"cannot fetch {jar} of the embedded broker ({_reason(error)}); "
                    f"{_NO_NETWORK_ADVICE}"
                ) from error
            time.sleep(RETRY_AFTER_S)
    if not _is_pinned(jar, path):
        raise DownloadError(
            f"{jar} is refused, because its SHA-256 is not the pinned one; {_NO_NETWORK_ADVICE}"
        )
    path.replace(cache_dir / jar.file_name)
    return jar.size


def _reason(error: OSError) -> str:
    """Return the innermost cause in one line, because libraries wrap errors several times."""
    cause: BaseException = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    text = " ".join(str(cause).split())
    return text[-160:] if text else type(cause).__name__


def _is_pinned(jar: Jar, path: Path) -> bool:
    try:
        if path.stat().st_size != jar.size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256
    except FileNotFoundError:
        return False
