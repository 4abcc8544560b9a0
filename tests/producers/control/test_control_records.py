"""What a control record must be."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from producers.control.kinds.budget import Budget
from producers.control.kinds.price import Price, PriceTier
from producers.control.kinds.project import Project
from producers.control.registry import KINDS
from producers.control.state import value_of

BUDGET = {
    "id": "b",
    "project_id": "p",
    "name": "n",
    "period": "month",
    "limit_pico": 1,
    "thresholds": ("0.5",),
    "created_us": 1,
}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", ""),
        ("id", "a/b"),
        ("id", "a b"),
        ("name", ""),
        ("period", "year"),
        ("time_zone", "Mars/Olympus"),
        ("time_zone", "../etc/passwd"),
        ("limit_pico", 0),
        ("limit_pico", 2**63),
        ("thresholds", ()),
        ("thresholds", ("0",)),
        ("thresholds", ("-1",)),
        ("thresholds", ("NaN",)),
        ("thresholds", ("half",)),
        ("thresholds", ("1", "1.0")),
        ("scope", {"planet": "Mars"}),
    ],
)
def test_a_budget_with_a_wrong_field_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        Budget.model_validate(BUDGET | {field: value})

    assert caught.value.errors()[0]["loc"][0] == field


def test_a_price_of_before_whose_pattern_is_refused_now_can_be_read() -> None:
    for match in ("(", "gpt-4(?!o)", r"(a)\1"):
        fault = Price(id="p", match=match, prices={"input": 1}).fault
        assert fault is not None
        assert fault.startswith("match: not a regular expression")
    assert Price(id="p", match="(a+)+", prices={"input": 1}).fault is None


def test_records_are_read_back_as_they_were_written() -> None:
    records = [
        Project(id="p", name="P", created_us=1),
        Price(
            id="x",
            match="gpt-.*",
            prices={"input": 2_500_000},
            tiers=(PriceTier(input_above=200_000, prices={"input": 5_000_000}),),
        ),
        Budget.model_validate(BUDGET | {"scope": {"user_id": "u"}, "time_zone": "Europe/Berlin"}),
    ]

    for record in records:
        assert b'"version":1' in value_of(record, None) or b'"kind"' in value_of(record, None)
        read = KINDS[record.kind].model_validate_json(record.model_dump_json())
        assert read == record


def test_fields_of_newer_versions_are_ignored() -> None:
    assert Project.model_validate({"id": "p", "name": "P", "created_us": 1, "colour": "red"}) == (
        Project(id="p", name="P", created_us=1)
    )
