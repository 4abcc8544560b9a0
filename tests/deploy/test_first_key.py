"""`tracemill up` twice on the same data: the second start finds the keys of the first."""

from __future__ import annotations

import re
import time
from pathlib import Path

import httpx

from tests.fixtures.installation import Server, running_server

WITHIN_S = 20.0


def test_a_second_start_without_settings_keeps_the_keys_and_prints_valid_ones(
    tmp_path: Path,
) -> None:
    chosen = {"TRACEMILL_INIT_PUBLIC_KEY": "pk-mine", "TRACEMILL_INIT_SECRET_KEY": "sk-mine"}
    with running_server(tmp_path / "data", **chosen) as server:
        assert status(server, "pk-mine", "sk-mine") == 200
        first = startup_message(tmp_path, server)
        assert signs_in_once(first)
    with running_server(tmp_path / "data") as server:
        assert status(server, "pk-mine", "sk-mine") == 200
        assert status(server, "pk-tm-dev", "sk-tm-dev") == 401
        assert status(server, "pk-mine", "sk-tm-dev") == 401
        second = startup_message(tmp_path, server)
        assert signs_in_once(second)
    for text in (first, second):
        assert "\n\n\n" not in text
        assert re.findall(r"LANGFUSE_PUBLIC_KEY=(.*)", text)[-1] == "pk-mine"
        assert "sk-tm-dev" not in text
        assert "sk-mine" not in text
    assert "The configured keys are not valid here" not in first
    assert "The configured keys are not valid here" in second


def status(server: Server, public_key: str, secret_key: str) -> int:
    url = f"{server.url}/api/public/projects"
    return httpx.get(url, auth=(public_key, secret_key)).status_code


def signs_in_once(text: str) -> bool:
    """Whether the printed link to the console opens a page, and cannot be used again."""
    link = re.findall(r"http\S+/console/sign-in\?token=\S+", text)[-1]
    with httpx.Client(headers={"accept": "text/html"}, follow_redirects=True) as client:
        page = client.get(link)
        assert (page.status_code, page.url.path) == (200, "/project/default")
    return httpx.get(link, headers={"accept": "text/html"}).status_code == 403


def startup_message(tmp_path: Path, server: Server) -> str:
    """All that was printed, once this server has greeted."""
    deadline = time.monotonic() + WITHIN_S
    while True:
        text = (tmp_path / "data.up.log").read_text()
        if "Ctrl-C stops everything" in text.partition(f"listens on {server.url}")[2]:
            return text
        assert time.monotonic() < deadline, text
        time.sleep(0.05)
