"""A data directory may have any name that the engines can read; others are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from clickhouse.embedded.engine import engine_address
from clickhouse.errors import StoreError
from deploy.embedded.kafka import EmbeddedKafka, property_value
from deploy.errors import EngineError


@pytest.mark.parametrize("name", ["a?b", "a%b", "a&b", "a\\b"])
def test_a_directory_that_the_store_would_misread_is_refused(name: str) -> None:
    directory = Path("/data") / name
    with pytest.raises(StoreError, match=r"cannot use the directory /data/a.b: the path contains"):
        engine_address(directory, directory / "engine.xml")


def test_a_directory_that_the_broker_reads_as_two_is_refused(tmp_path: Path) -> None:
    broker = EmbeddedKafka(tmp_path / "a,b", port=1, controller_port=2, password=SecretStr("x"))
    with pytest.raises(EngineError, match="must not contain a comma"):
        broker.prepare()


def test_the_broker_reads_paths_with_any_characters() -> None:
    assert property_value(Path("/a b/ü\\😀")) == r"/a\u0020b/\u00fc\u005c\ud83d\ude00"
