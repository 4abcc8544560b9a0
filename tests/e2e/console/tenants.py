"""Projects of the tests, each with a key pair, filled through the public API."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from deploy.embedded.credentials import read_credentials
from query_api.console.links import link_path
from tests.fixtures.installation import Server
from tests.fixtures.waiting import until

PROJECTS = "/v1/admin/projects"
SCOPES = ("ingest", "scores", "read", "write", "admin")
ATTEMPTS_MAX = 60


@dataclass(frozen=True)
class Tenant:
    """A project with a key pair that has all scopes of projects."""

    server: Server
    id: str
    public_key: str
    secret_key: str

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def home(self) -> str:
        return f"/project/{self.id}"

    def link(self) -> str:
        """Return the address of a new link that signs in, as `tracemill console` prints it."""
        credentials = read_credentials(self.server.data_dir)
        assert credentials is not None
        return f"{self.url}{link_path([credentials.console.get_secret_value()], self.public_key)}"

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """Make a request of the API and return its JSON; try again while the server is busy."""
        auth = (self.public_key, self.secret_key)
        for _ in range(ATTEMPTS_MAX):
            answer = httpx.request(method, f"{self.url}{path}", json=body, auth=auth, timeout=60)
            if answer.status_code not in {429, 503}:
                break
            time.sleep(0.1)  # the server is busy, and says when to try again
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text[:2_000]}"
        return answer.json() if answer.content else None

    def ingest(self, events: Sequence[dict[str, Any]]) -> None:
        """Send events in the format of Langfuse's ingestion."""
        for at in range(0, len(events), 500):
            found = self.send("POST", "/api/public/ingestion", {"batch": events[at : at + 500]})
            assert found["errors"] == [], found["errors"][:3]

    def wait_for_traces(self, number: int) -> None:
        """Wait until the project has this number of traces."""
        until(
            lambda: self.send("GET", "/api/public/traces?limit=1")["meta"]["totalItems"] >= number,
            f"{number} traces of {self.id}",
        )

    def wait_for_observation(self, observation_id: str) -> None:
        """Wait until an observation can be read."""
        auth = (self.public_key, self.secret_key)
        path = f"/api/public/observations/{quote(observation_id, safe='')}"
        until(
            lambda: httpx.get(f"{self.url}{path}", auth=auth, timeout=60).status_code == 200,
            f"observation {observation_id} of {self.id}",
        )


def new_tenant(server: Server, project_id: str, name: str) -> Tenant:
    """Create a project and its key."""
    auth = ("admin", server.admin_key())
    with httpx.Client(base_url=server.url, auth=auth, timeout=60) as admin:
        answer = admin.post(PROJECTS, json={"id": project_id, "name": name})
        assert answer.status_code == 201, answer.text
        answer = admin.post(f"{PROJECTS}/{project_id}/keys", json={"scopes": SCOPES})
        assert answer.status_code == 201, answer.text
    key = answer.json()
    return Tenant(server, project_id, key["public_key"], key["secret_key"])
