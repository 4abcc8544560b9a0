"""One record of every kind that pages show, made through the public API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from tests.e2e.console.shop import Events
from tests.e2e.console.tenants import Tenant
from tests.fixtures.waiting import until

Named = Callable[[str], str]
"""The text for a plain one: itself, or one with markup."""
ANSWERS = ("Under Billing.", "Under Plan.", "With the link in the e-mail.")
RECEIVER = "http://127.0.0.1:9/hooks"
"""Nothing listens there, so that deliveries fail."""


@dataclass(frozen=True, slots=True)
class Defined:
    """Names of what was made."""

    prompt: str
    dataset: str
    runs: tuple[str, str]


def define(tenant: Tenant, named: Named = str) -> Defined:
    """Make a prompt with versions, a dataset with two runs, scores, a budget, rules, and so on."""
    prompt = _prompt(tenant, named)
    dataset, runs = _dataset(tenant, named)
    _alerting(tenant, named)
    _dead_letter(tenant, named)
    _charts(tenant, named)
    return Defined(prompt, dataset, runs)


def _dead_letter(tenant: Tenant, named: Named) -> None:
    """Send an event that the gateway refuses."""
    event = {"id": named("refused"), "type": "trace-create", "timestamp": named("no time")}
    batch = [event | {"body": {"name": named("name")}}]
    answer = tenant.send("POST", "/api/public/ingestion", {"batch": batch})
    assert answer["errors"], answer


def _prompt(tenant: Tenant, named: Named) -> str:
    name = prompt_name("support/answer", named)
    texts = (
        "Answer the question: {{question}}",
        "Answer in two sentences, politely.\n\nQuestion: {{question}}",
        "Answer in {{language}}, in two sentences, politely.\n\nQuestion: {{question}}",
    )
    for number, text in enumerate(texts):
        tenant.send("POST", "/api/public/v2/prompts", {
            "name": name, "type": "text", "prompt": named(text), "tags": [named("support")],
            "labels": ["production"] if number == 2 else [], "config": {named("model"): "gpt-4o"},
            "commitMessage": named("Shorter answers"),
        })  # fmt: skip
    tenant.send("POST", "/api/public/v2/prompts", {
        "name": prompt_name("support/classify", named), "type": "chat", "labels": ["production"],
        "prompt": [{"role": "system", "content": named("Name the topic.")},
                   {"role": "user", "content": "{{question}}"}],
    })  # fmt: skip
    events = Events(f"{tenant.id}-prompt")
    for number in range(48):
        version = 2 + number % 2
        ago_s = 5_000.0 - number * 60
        trace_id = events.trace(named("support-chat"), ago_s, userId=named("sofia"))
        events.step(
            "generation", trace_id, named("answer"), ago_s, 1 + version * 0.5 + number % 5 / 10,
            model="gpt-4o-mini", promptName=name, promptVersion=version,
            usage={"input": 300 + 20 * (number % 7), "output": 40},
        )  # fmt: skip
        events.add(
            "score-create", traceId=trace_id, name=named("helpful"), dataType="NUMERIC",
            value=0.9 - 0.25 * (version == 3) + number % 4 / 50, comment=named("rated by the user"),
        )  # fmt: skip
    tenant.ingest(events.events)
    return name


def prompt_name(plain: str, named: Named) -> str:
    """Return the name of a prompt, in which tags are not allowed."""
    return named(plain).replace("<", "&lt;").replace(">", "&gt;")


def _dataset(tenant: Tenant, named: Named) -> tuple[str, tuple[str, str]]:
    name, runs = named("support questions"), (named("baseline"), named("candidate"))
    tenant.send("POST", "/api/public/v2/datasets", {
        "name": name, "description": named("Questions of customers, with the right answers."),
        "metadata": {named("owner"): named("ada")},
    })  # fmt: skip
    questions = ("Where is my invoice?", "How do I cancel?", "How do I reset my password?")
    items = [
        tenant.send("POST", "/api/public/dataset-items", {
            "datasetName": name, "input": {named("question"): named(question)},
            "expectedOutput": named(answer),
        })["id"]
        for question, answer in zip(questions, ANSWERS, strict=True)
    ]  # fmt: skip
    events = Events(f"{tenant.id}-run")
    traces: list[tuple[str, str, str]] = []
    for run, values in zip(runs, ((1.0, 0.8, 0.9), (1.0, 0.9, 0.1)), strict=True):
        for number, (item, value) in enumerate(zip(items, values, strict=True)):
            answer = ANSWERS[number] if value > 0.5 else "I do not know."
            trace_id = events.trace(
                named("experiment"), 600, input=named(questions[number]), output=named(answer)
            )
            events.step(
                "generation", trace_id, named("answer"), 600, 1.5 + number, model="gpt-4o",
                usage={"input": 200, "output": 20}, output=named(answer),
            )  # fmt: skip
            events.add(
                "score-create", traceId=trace_id, name=named("correctness"), value=value,
                dataType="NUMERIC", comment=named("compared with the expected answer"),
            )  # fmt: skip
            traces.append((run, item, trace_id))
    tenant.ingest(events.events)
    for run, item, trace_id in traces:
        tenant.send("POST", "/api/public/dataset-run-items", {
            "runName": run, "datasetItemId": item, "traceId": trace_id,
            "runDescription": named("with another prompt"),
        })  # fmt: skip
    return name, runs


def _alerting(tenant: Tenant, named: Named) -> None:
    tenant.send("POST", "/api/public/score-configs", {
        "name": "correctness", "dataType": "NUMERIC", "minValue": 0, "maxValue": 1,
        "description": named("Whether the answer is right."),
    })  # fmt: skip
    tenant.send("POST", "/v1/budgets", {
        "name": named("Everything, daily"), "period": "day", "limit_usd": "5",
        "group_by": ["user_id"],
    })  # fmt: skip
    tenant.send("POST", "/v1/alert-rules", {
        "name": named("A call costs more than nothing"), "metric": "cost", "threshold": 0,
        "window": "5m", "group_by": ["user_id"], "severity": "critical",
        "labels": {"team": named("search")},
        "annotations": {"summary": named("Spent {{ value|round(2) }} USD")},
    })  # fmt: skip
    channel = tenant.send("POST", "/v1/channels", {
        "name": named("on-call"), "type": "webhook", "url": RECEIVER})  # fmt: skip
    tenant.send("POST", "/v1/routes", {
        "name": named("critical alerts"), "severities": ["critical"],
        "channel_ids": [channel["id"]]})  # fmt: skip
    tenant.send("POST", "/v1/webhooks", {
        "url": RECEIVER, "events": ["budget.threshold_crossed", "alert.firing"]})  # fmt: skip
    tenant.send("POST", "/v1/silences", {
        "author": named("ada"), "duration": "2h", "reason": named("Load test"),
        "matchers": [{"name": "team", "op": "=", "value": named("nobody")}],
    })  # fmt: skip
    price = {"match": "acme-1", "usd_per_million": {"input": "1"}}
    tenant.send("POST", "/v1/prices", {"name": named("our contract"), **price})
    tenant.send("PUT", f"/v1/tiers/{quote(named('ada'), safe='')}", {"tier": "pro"})


def _charts(tenant: Tenant, named: Named) -> None:
    tenant.send("POST", "/v1/views", {
        "page": "traces", "name": named("Of Ada"), "query": "q=user:ada&range=24h"})  # fmt: skip
    of_models = {"measures": ["cost_usd"], "group_by": ["model"]}
    tenant.send("POST", "/v1/dashboards", {
        "name": named("Models"), "description": named("What they cost"),
        "variables": [{"name": named("Model"), "dimension": "model"}],
        "tiles": [
            {"title": named("Cost"), "chart": "columns", "query": of_models},
            {"title": named("By model"), "chart": "bar", "query": of_models},
            {"title": named("In total"), "chart": "number", "query": {"measures": ["count"]}},
        ],
    })  # fmt: skip


def fire_alert(tenant: Tenant) -> None:
    """Make a call that the rule is about, and wait for its alert."""
    events = Events(f"{tenant.id}-now")
    trace_id = events.trace("support-chat", 1, userId="grace")
    events.step("generation", trace_id, "answer", 1, 0.5, model="gpt-4o", usage={"input": 10_000})
    tenant.ingest(events.events)
    until(lambda: bool(tenant.send("GET", "/v1/alerts?state=firing")["data"]), "an alert")
