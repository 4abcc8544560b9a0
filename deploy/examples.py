"""Show an example in the help of every command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import typer

EXAMPLES: Final[Mapping[str, str]] = {
    "up": "tracemill up --port 7800 --data-dir /srv/tracemill",
    "demo": "tracemill demo --traces 200 --rate 20",
    "console": "tracemill console --public-key pk-tm-dev",
    "gateway": "TRACEMILL_BROKER=kafka:9092 tracemill gateway",
    "query": "TRACEMILL_BROKER=kafka:9092 TRACEMILL_CLICKHOUSE_URL=http://db:8123 tracemill query",
    "edge": "TRACEMILL_BROKER=kafka:9092 TRACEMILL_CLICKHOUSE_URL=http://db:8123 tracemill edge",
    "streams": (
        "TRACEMILL_BROKER=kafka:9092 TRACEMILL_CLICKHOUSE_URL=http://db:8123 tracemill streams"
    ),
    "sink": "TRACEMILL_BROKER=kafka:9092 TRACEMILL_CLICKHOUSE_URL=http://db:8123 tracemill sink",
    "migrate": "tracemill migrate --plan",
    "recover": "tracemill recover --data-dir /srv/tracemill --yes",
    "broker": "tracemill broker --port 9092",
    "store": "tracemill store --port 8123",
    "settings": "tracemill settings",
    "measures": "tracemill measures cost_usd latency_ms.p95 --by model --last 7d --step 1d",
    "projects create": 'tracemill projects create support-chat --name "Support chat"',
    "projects list": "tracemill projects list --json",
    "projects show": "tracemill projects show support-chat",
    "projects rename": 'tracemill projects rename support-chat "Support chat, EU"',
    "projects delete": "tracemill projects delete support-chat --yes --wait --timeout 10m",
    "keys create": "tracemill keys create --project support-chat --scopes ingest --expires 90d",
    "keys list": "tracemill keys list --project support-chat",
    "keys show": "tracemill keys show key_1f2e --project support-chat",
    "keys rotate": "tracemill keys rotate key_1f2e --project support-chat --overlap 24h",
    "keys revoke": "tracemill keys revoke key_1f2e --project support-chat",
    "limits show": "tracemill limits show support-chat",
    "limits set": (
        "tracemill limits set support-chat --events-per-s 200 --quota-period month"
        " --quota-bytes 20GB"
    ),
    "limits clear": "tracemill limits clear support-chat",
    "webhooks list": "tracemill webhooks list",
    "webhooks test": "tracemill webhooks test wh_7b0c",
    "webhooks delete": "tracemill webhooks delete wh_7b0c",
    "channels list": "tracemill channels list --json",
    "channels test": "tracemill channels test ch_0f4b",
    "channels delete": "tracemill channels delete ch_0f4b",
    "prices list": "tracemill prices list --defaults --model gpt-4o",
    "prices show": "tracemill prices show prc_1f2e",
    "prices create": (
        "tracemill prices create --match 'gpt-4o(-mini)?' --price input=2.25 --price output=9"
    ),
    "prices replace": (
        "tracemill prices replace prc_1f2e --match gpt-4o --price input=2 --price output=8"
    ),
    "prices delete": "tracemill prices delete prc_1f2e",
    "prices explain": """tracemill prices explain openai/gpt-4o --usage '{"input": 1000}'""",
    "prices unpriced": "tracemill prices unpriced",
    "alerts rules": "tracemill alerts rules",
    "alerts list": "tracemill alerts list --state firing",
    "alerts ack": 'tracemill alerts ack episode_1f2e --author ada --note "provider incident"',
    "alerts silence": "tracemill alerts silence team=search --for 2h --reason 'load test'",
    "alerts silences": "tracemill alerts silences",
    "alerts expire": "tracemill alerts expire sil_1f2e",
    "datasets import": "tracemill datasets import questions.jsonl --dataset support/billing",
    "experiments compare": (
        "tracemill experiments compare baseline candidate --dataset support/billing"
        " --fail-if 'mean(correctness) < 0.8'"
    ),
    "prompts list": "tracemill prompts list --json",
    "prompts export": "tracemill prompts export greeting --label production -o prompts.json",
    "prompts import": "tracemill prompts import prompts.json --label staging",
    "prompts diff": "tracemill prompts diff prompts.json",
    "prompts rollback": "tracemill prompts rollback greeting --to 3",
    "quarantine list": "tracemill quarantine list --state quarantined",
    "quarantine show": "tracemill quarantine show events/0/1234",
    "quarantine replay": "tracemill quarantine replay events/0/1234",
    "quarantine skip": "tracemill quarantine skip --topic events --partition 0 --offset 7",
}


def add_examples(app: typer.Typer, prefix: str = "") -> None:
    """Set the example of each command of an application and of its groups."""
    for command in app.registered_commands:
        name = command.name or getattr(command.callback, "__name__", "").replace("_", "-")
        example = EXAMPLES.get(f"{prefix}{name}")
        if example is not None:
            command.epilog = f"Example: {example}"
    for group in app.registered_groups:
        if group.typer_instance is not None:
            add_examples(group.typer_instance, f"{group.typer_instance.info.name} ")
