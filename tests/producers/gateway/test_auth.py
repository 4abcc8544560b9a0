"""Who is let in, and what the others are told."""

from __future__ import annotations

import base64
import time

import httpx
import pytest

from producers.control.auth import Authenticator, Principal
from producers.control.keys import new_api_key
from producers.control.kinds.project import Project
from producers.control.log import ControlLog
from producers.errors import UnauthorizedError

INVALID = "Invalid credentials. Confirm that you've configured the correct host."
ROUTES = ["/api/public/ingestion", "/api/public/otel/v1/traces", "/v1/traces", "/api/public/scores"]


def basic(text: str) -> bytes:
    return b"Basic " + base64.b64encode(text.encode())


async def test_a_key_pair_names_its_project(control: ControlLog) -> None:
    authenticator = Authenticator(control)

    assert authenticator.authenticate(basic("pk-tm-dev:sk-tm-dev")) == Principal(
        "default", "project", "pk-tm-dev"
    )
    assert authenticator.authenticate(b"bearer pk-tm-dev") == Principal(
        "default", "scores", "pk-tm-dev"
    )


async def test_a_new_key_counts_at_once_and_a_deleted_one_no_more(control: ControlLog) -> None:
    authenticator = Authenticator(control)
    await control.put(Project(id="p2", name="Second", created_us=1))
    key = new_api_key(key_id="k2", project_id="p2", public_key="pk-2", secret="a:b", created_us=1)

    await control.put(key)
    assert authenticator.authenticate(basic("pk-2:a:b")).project_id == "p2"
    await control.delete("api_key", "k2")
    with pytest.raises(UnauthorizedError):
        authenticator.authenticate(basic("pk-2:a:b"))


@pytest.mark.parametrize(
    "header",
    [
        basic("pk-tm-dev:wrong"),
        basic("pk-tm-dev:"),
        basic("pk-tm-dev"),
        basic("nobody:sk-tm-dev"),
        basic("sk-tm-dev:pk-tm-dev"),
        b"Basic ???",
        b"Basic \xff\xff",
        b"Basic",
        b"Bearer sk-tm-dev",
        b"Bearer ",
        b"Digest pk-tm-dev",
        b"Basic " + b"QUFB" * 10_000,
    ],
)
async def test_wrong_credentials_are_refused(control: ControlLog, header: bytes) -> None:
    with pytest.raises(UnauthorizedError, match="Invalid credentials"):
        Authenticator(control).authenticate(header)


@pytest.mark.parametrize("url", ROUTES)
async def test_each_route_says_401_in_its_own_words(client: httpx.AsyncClient, url: str) -> None:
    wrong = await client.post(url, content=b"{}", auth=("pk-tm-dev", "wrong"))
    none = await client.post(url, content=b"{}", auth=httpx.Auth())

    assert (wrong.status_code, none.status_code) == (401, 401)
    expected = {"message": INVALID}
    if url == "/api/public/ingestion":
        expected["error"] = "UnauthorizedError"
    assert wrong.json() == expected
    assert none.json()["message"] == "No authorization header"


async def test_checking_a_credential_takes_microseconds(control: ControlLog) -> None:
    authenticator = Authenticator(control)
    header = basic("pk-tm-dev:sk-tm-dev")
    best_s = min(_seconds_of_a_thousand(authenticator, header) for _ in range(5))

    assert best_s / 1000 < 500e-6


def _seconds_of_a_thousand(authenticator: Authenticator, header: bytes) -> float:
    started = time.perf_counter()
    for _ in range(1000):
        authenticator.authenticate(header)
    return time.perf_counter() - started
