"""Examples of prices for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

PRICE_REQUEST_EXAMPLE: Final[dict[str, Any]] = {
    "name": "GPT-4o, our contract",
    "match": "gpt-4o(-2024-[0-9-]+)?",
    "effective_from": "2026-11-01T00:00:00Z",
    "usd_per_million": {"input": "2.25", "cache_read": "1.125", "output": "9"},
    "tiers": [
        {
            "service_tiers": ["priority"],
            "usd_per_million": {"input": "3.825", "output": "15.3"},
        }
    ],
}
PRICE_EXAMPLE: Final[dict[str, Any]] = {
    "id": "prc_5c1d0e8f7a6b4c3d2e1f0a9b",
    "name": "GPT-4o, our contract",
    "match": "gpt-4o(-2024-[0-9-]+)?",
    "matching": "whole_name",
    "effective_from": "2026-11-01T00:00:00.000Z",
    "usd_per_million": {"input": "2.25", "cache_read": "1.125", "output": "9"},
    "tiers": [
        {
            "input_above": None,
            "service_tiers": ["priority"],
            "usd_per_million": {"input": "3.825", "output": "15.3"},
        }
    ],
    "created_at": "2026-11-21T12:00:00.000Z",
    "fault": None,
}
DEFAULT_PRICES_EXAMPLE: Final[dict[str, Any]] = {
    "data": [
        {
            "id": "openai/gpt-4o",
            "origin": "shipped",
            "provider": "openai",
            "model": "gpt-4o",
            "match": "^(?:gpt\\-4o)$",
            "effective_from": None,
            "hours": None,
            "usd_per_million": {"input": "2.5", "cache_read": "1.25", "output": "10"},
            "tiers": [
                {
                    "input_above": None,
                    "when": {"processing": "batch"},
                    "effective_from": None,
                    "hours": None,
                    "usd_per_million": {"input": "1.25", "output": "5"},
                }
            ],
            "source": "genai-prices 0.2.3",
            "as_of": "2026-11-21",
        }
    ],
    "meta": {"has_more": False, "cursor": None},
}
_CONDITIONS: Final[list[Any]] = [
    {
        "usageDetailPattern": "^(input|cache)",
        "operator": "gt",
        "value": 200000,
        "caseSensitive": False,
    }
]
_TIERS: Final[list[dict[str, Any]]] = [
    {
        "name": "Standard",
        "isDefault": True,
        "priority": 0,
        "conditions": [],
        "prices": {"input": 2.25e-06, "output": 9e-06},
    },
    {
        "name": "Long context",
        "isDefault": False,
        "priority": 1,
        "conditions": _CONDITIONS,
        "prices": {"input": 4.5e-06, "output": 1.35e-05},
    },
]
MODEL_REQUEST_EXAMPLE: Final[dict[str, Any]] = {
    "modelName": "acme-large",
    "matchPattern": "(?i)^(acme/)?(acme-large)$",
    "startDate": "2026-11-01",
    "unit": "TOKENS",
    "pricingTiers": _TIERS,
}
MODEL_EXAMPLE: Final[dict[str, Any]] = {
    "id": "prc_5c1d0e8f7a6b4c3d2e1f0a9b",
    "modelName": "acme-large",
    "matchPattern": "(?i)^(acme/)?(acme-large)$",
    "startDate": "2026-11-01T00:00:00.000Z",
    "unit": "TOKENS",
    "inputPrice": 2.25e-06,
    "outputPrice": 9e-06,
    "totalPrice": None,
    "tokenizerId": None,
    "tokenizerConfig": None,
    "isLangfuseManaged": False,
    "createdAt": "2026-11-21T12:00:00.000Z",
    "prices": {"input": {"price": 2.25e-06}, "output": {"price": 9e-06}},
    "pricingTiers": [
        {"id": f"prc_5c1d0e8f7a6b4c3d2e1f0a9b-{number}", **tier}
        for number, tier in enumerate(_TIERS)
    ],
}
_RESOLVED_PRICE: Final[dict[str, Any]] = {
    "id": "openai/gpt-4o",
    "origin": "shipped",
    "provider": "openai",
    "model": "gpt-4o",
    "match": "gpt-4o-2024-08-06",
    "matching": "name",
    "effective_from": None,
    "hours": None,
    "source": "genai-prices 0.2.3",
    "as_of": "2026-11-21",
    "outcome": "applies",
}
RESOLVED_EXAMPLE: Final[dict[str, Any]] = {
    "model": "azure/gpt-4o-2024-08-06",
    "at": "2026-11-21T12:00:00.000Z",
    "price": _RESOLVED_PRICE,
    "reason": None,
    "cost_usd": "0.00425",
    "stated_cost_usd": None,
    "amounts": [
        {
            "usage_type": "input",
            "count": 600,
            "priced_as": "input",
            "usd_per_million": "4.25",
            "cost_usd": "0.00255",
        },
        {
            "usage_type": "output",
            "count": 100,
            "priced_as": "output",
            "usd_per_million": "17",
            "cost_usd": "0.0017",
        },
    ],
    "unpriced": [
        {
            "usage_type": "input_audio_tokens",
            "count": 50,
            "reason": "the price does not list input_audio",
        }
    ],
    "usage": {"input": 600, "input_audio_tokens": 50, "output": 100},
    "usage_uncertain": None,
    "conditions": {"service_tier": "priority"},
    "tiers": [
        {
            "input_above": None,
            "when": {"service_tier": "priority"},
            "effective_from": None,
            "hours": None,
            "usd_per_million": {"input": "4.25", "cache_read": "2.125", "output": "17"},
        }
    ],
    "input_tokens": 650,
    "above_input_tokens": None,
    "usd_per_million": {"input": "4.25", "cache_read": "2.125", "output": "17"},
    "reading": ["provider azure"],
    "candidates": [_RESOLVED_PRICE],
}
UNPRICED_EXAMPLE: Final[dict[str, Any]] = {
    "data": [
        {
            "model": "acme-large-2",
            "observations": 1840,
            "unpriced_observations": 1840,
            "units": 2760000,
            "usage": {"input": 2576000, "output": 184000},
            "first_seen": "2026-11-20T08:12:44.109Z",
            "last_seen": "2026-11-21T11:59:58.030Z",
            "price": None,
        },
        {
            "model": "gpt-4o",
            "observations": 12,
            "unpriced_observations": 0,
            "units": 9000,
            "usage": {"input_audio_tokens": 9000},
            "first_seen": "2026-11-21T09:00:00.000Z",
            "last_seen": "2026-11-21T09:04:10.500Z",
            "price": "openai/gpt-4o",
        },
    ],
    "meta": {
        "from": "2026-11-14T12:00:00.000Z",
        "to": "2026-11-21T12:00:00.000Z",
        "has_more": False,
        "cursor": None,
    },
}
WHAT_IF_REQUEST_EXAMPLE: Final[dict[str, Any]] = {
    "from": "2026-11-14T00:00:00Z",
    "to": "2026-11-21T00:00:00Z",
    "filter": {"model": ["gpt-4o"]},
    "model": "gpt-4o-mini",
}
_WHAT_IF_TOTALS: Final[dict[str, Any]] = {
    "calls": 118,
    "tokens": {"input": 118000, "output": 7080, "total": 125080},
    "actual_usd": "0.3658",
    "what_if_usd": "0.021948",
    "difference_usd": "-0.343852",
    "unpriced": {},
}
WHAT_IF_EXAMPLE: Final[dict[str, Any]] = {
    "from": "2026-11-14T00:00:00.000Z",
    "to": "2026-11-21T00:00:00.000Z",
    "time_zone": "UTC",
    "model": "gpt-4o-mini",
    "total": _WHAT_IF_TOTALS,
    "data": [{"date": "2026-11-20", "model": "gpt-4o", **_WHAT_IF_TOTALS}],
}
