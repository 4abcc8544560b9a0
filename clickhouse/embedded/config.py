"""Write the engine's configuration file: volumes, and memory and threads for a small machine."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from clickhouse.settings import TieringSettings

MIB = 2**20

# For a small machine: two background merges, caches of megabytes instead of gigabytes.
SERVER_SETTINGS: dict[str, int] = {
    "mark_cache_size": 64 * MIB,
    "primary_index_cache_size": 64 * MIB,
    "index_mark_cache_size": 16 * MIB,
    "index_uncompressed_cache_size": 0,
    "uncompressed_cache_size": 0,
    "query_condition_cache_size": 8 * MIB,
    "compiled_expression_cache_size": 8 * MIB,
    "mmap_cache_size": 128,
    "background_pool_size": 2,
    "background_move_pool_size": 1,
    "background_common_pool_size": 1,
    "background_schedule_pool_size": 4,
    "max_thread_pool_size": 256,
    "max_thread_pool_free_size": 16,
}


def write_users(data_dir: Path, text: str) -> Path:
    """Write ``DATA_DIR/users.xml``, the engine's users and their privileges; return its path."""
    return _write_private(data_dir / "users.xml", text)


def write_config(data_dir: Path, tiering: TieringSettings, users_file: Path) -> Path:
    """Write ``DATA_DIR/engine.xml`` and return its path.

    Only the owner can read it, because it may contain the keys of the bucket.
    """
    lines = [f"  <{name}>{value}</{name}>" for name, value in SERVER_SETTINGS.items()]
    text = "\n".join(
        [
            "<clickhouse>",
            "  <logger><level>none</level></logger>",
            *lines,
            "  <user_directories><users_xml>",
            f"    <path>{escape(str(users_file))}</path>",
            "  </users_xml></user_directories>",
            _storage(data_dir, tiering),
            "</clickhouse>",
            "",
        ]
    )
    return _write_private(data_dir / "engine.xml", text)


def _write_private(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_bytes(os.fsencode(text))
    return path


def s3_endpoint(tiering: TieringSettings) -> str:
    """Return the S3 server's address without a trailing slash; by default that of AWS."""
    aws = f"https://s3.{tiering.aws_region}.amazonaws.com"
    return tiering.aws_endpoint_url.rstrip("/") or aws


def _storage(data_dir: Path, tiering: TieringSettings) -> str:
    cold = _s3_disk(data_dir, tiering) if tiering.cold_url else _local_disk(data_dir / "cold")
    policy = tiering.storage_policy
    return f"""  <storage_configuration>
    <disks>
      <cold>
{cold}
      </cold>
    </disks>
    <policies>
      <{policy}>
        <volumes><hot><disk>default</disk></hot><cold><disk>cold</disk></cold></volumes>
        <move_factor>0</move_factor>
      </{policy}>
    </policies>
  </storage_configuration>"""


def _local_disk(path: Path) -> str:
    path.mkdir(parents=True, exist_ok=True)
    return f"        <type>local</type>\n        <path>{escape(str(path))}/</path>"


def _s3_disk(data_dir: Path, tiering: TieringSettings) -> str:
    bucket = urlsplit(tiering.cold_url)
    prefix = bucket.path.strip("/")
    endpoint = s3_endpoint(tiering)
    url = "/".join(part for part in (endpoint, bucket.netloc, prefix) if part) + "/"
    metadata = data_dir / "cold-metadata"
    metadata.mkdir(parents=True, exist_ok=True)
    options = {
        "type": "s3",
        "endpoint": url,
        "region": tiering.aws_region,
        "metadata_path": f"{metadata}/",
        "connect_timeout_ms": "2000",
        "retry_attempts": "10",
    }
    if tiering.aws_access_key_id:
        options["access_key_id"] = tiering.aws_access_key_id
        options["secret_access_key"] = tiering.aws_secret_access_key.get_secret_value()
    else:
        options["use_environment_credentials"] = "true"
    return "\n".join(f"        <{name}>{escape(value)}</{name}>" for name, value in options.items())
