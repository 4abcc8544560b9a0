"""Applications that take their prompts from the server, with a fallback and in an A/B test."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

from deploy.embedded.ports import free_ports
from tests.compat.sdk_runs import VISIBLE_TIMEOUT_S
from tests.e2e.scenarios.conftest import Scenarios
from tests.e2e.scenarios.requirements import V3

Cli = Callable[..., subprocess.CompletedProcess[str]]
PROMPTS = "/api/public/v2/prompts"


def test_prompts_of_a_proxy_come_from_the_exported_file_if_the_server_is_unreachable(
    scenarios: Scenarios, cli: Cli, tmp_path: Path
) -> None:
    assets = tmp_path / "assets.json"
    plan = "{% for table in tables %}- {{ table }}\n{% endfor %}{{ question }}"
    prompts = {"sql/plan": {"template": plan}, "sql/answer": {"prompt": "{{ rows|length }} rows"}}
    assets.write_text(json.dumps(prompts))
    imported = cli("prompts", "import", str(assets), "--label", "production")
    assert imported.returncode == 0, imported.stderr
    exported = cli("prompts", "export", "sql/plan", "sql/answer", "--output", str(assets))
    assert exported.returncode == 0, exported.stderr
    expected = ["- orders\n- users\nHow many?", "0 rows"]

    online = json.loads(scenarios.run("prompt_proxy.py", V3, str(assets)).printed)
    assert online == {"prompts": expected, "fallbacks": 0}

    (unused_port,) = free_ports(1)
    nowhere = f"http://127.0.0.1:{unused_port}"
    run = scenarios.run("prompt_proxy.py", V3, str(assets), LANGFUSE_HOST=nowhere)
    assert json.loads(run.printed) == {"prompts": expected, "fallbacks": 2}


def test_two_labels_are_compared_on_the_users_that_the_server_assigned(
    scenarios: Scenarios, client: httpx.Client
) -> None:
    for label, text in (("a", "Greet. {{question}}"), ("b", "Greet kindly. {{question}}")):
        body = {"name": "ab/greet", "prompt": text, "labels": [label]}
        assert client.post(PROMPTS, json=body).status_code == 201
    split = client.put("/v1/prompts/ab%2Fgreet/split", json={"weights": {"a": 1, "b": 1}})
    assert split.status_code == 200, split.text

    assigned = json.loads(scenarios.run("two_prompts.py", V3).printed)
    users = Counter(assigned.values())
    assert min(users["a"], users["b"]) >= 8  # of 40 users
    for user, label in assigned.items():
        again = client.get("/v1/prompts/ab%2Fgreet/assign", params={"key": user}).json()
        assert (again["label"], again["version"]) == (label, {"a": 1, "b": 2}[label])

    def compared() -> dict[str, Any]:
        answer = client.get("/v1/prompts/ab%2Fgreet/compare", params={"labels": "a,b"})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def is_complete(found: dict[str, Any]) -> bool:
        return all(
            each["calls"] == each["scores"].get("liked", {}).get("count") == users[each["label"]]
            for each in found["data"]
        )

    deadline_s = time.monotonic() + VISIBLE_TIMEOUT_S
    while not is_complete(found := compared()):
        assert time.monotonic() < deadline_s, found
        time.sleep(0.05)
    a, b = found["data"]
    assert (a["label"], a["version"], b["label"], b["version"]) == ("a", 1, "b", 2)
    # 200 input, 1,000 cached and 300 output tokens of gpt-4o-mini, and of gpt-4o.
    assert Decimal(a["cost_usd"]["mean"]) == Decimal("0.000285")
    assert Decimal(b["cost_usd"]["mean"]) == Decimal("0.00475")
    assert (a["scores"]["liked"]["mean"], b["scores"]["liked"]["mean"]) == (0, 1)
    (liked,) = [each for each in found["tests"] if each["metric"] == "score:liked"]
    assert (liked["test"], liked["difference"], liked["significant"]) == (
        "two_proportion_z", 1, True,
    )  # fmt: skip
