"""Each value of a chart leads to a list of exactly what it counts, for every dimension."""

from __future__ import annotations

import re
from html import unescape
from typing import Final

import httpx
import msgspec
import pytest

from query_api.console.dimension_filters import NAMES
from query_api.console.explore_fields import DIMENSIONS_OFFERED
from tests.query_api.console.browser import HOME, text_of
from tests.query_api.harness import NOON_US, Kept, observation, score, trace

pytestmark = pytest.mark.asyncio(loop_scope="module")
RANGE: Final = "from=2026-11-21T11:59:55Z&to=2026-11-21T12:00:05Z"
UNLISTED: Final = {
    "observations": {"experiment_id", "experiment_name", "dataset_id", "user_tier"},
    "traces": {"experiment_id", "experiment_name", "dataset_id"},
    "scores": {
        "experiment_id", "experiment_name", "dataset_id", "trace_version",
        "observation_name", "model", "prompt_name", "prompt_version",
    },
}  # fmt: skip
"""Dimensions of which no list has the values."""
OF_SPEND: Final = {"user_tier"}
"""Dimensions that only sums of spend have."""
_ROW: Final = re.compile(
    r'<th scope="row"><a class="open" href="([^"]+)"'
    r'(?:(?!</tr>).)*?<td class="number"><a [^>]*>(\d+)</a>',
    re.DOTALL,
)


@pytest.fixture(scope="module")
def database(kept: Kept) -> str:
    """Rows with a value in every field, rows without values, and rows with only a name."""
    fields = {"environment": "live", "user_id": "ada", "session_id": "s 1"}
    rows: list[msgspec.Struct] = [
        trace(
            "t1", NOON_US, name="chat bot", tags=("a b", "c"), release="r1", version="v1", **fields
        ),
        trace("t2", NOON_US),
        trace("t3", NOON_US, name="chat"),
        observation(
            "t1", "o1", NOON_US, type="GENERATION", name="the call", parent_id="o0", level="ERROR",
            version="v2", model="m 1", service_tier="priority", provider="azure", api_key="key-1",
            error_type="timeout", prompt_name="p/1", prompt_version=3, **fields,
        ),
        observation("t2", "o2", NOON_US),
        observation("t3", "o3", NOON_US, name="call"),
        score("s1", NOON_US, trace_id="t1", name="quality", string_value="good", config_id="c1",
              data_type="CATEGORICAL", source="API", environment="live"),
        score("s2", NOON_US, trace_id="t2", data_type="NUMERIC", value=1.0, source="EVAL"),
    ]  # fmt: skip
    return kept(rows)


@pytest.mark.parametrize(
    ("view", "dimension"),
    [(view, name) for view, names in DIMENSIONS_OFFERED.items() for name in names],
)
async def test_each_bar_leads_to_as_many_rows_as_it_counts(
    client: httpx.AsyncClient, view: str, dimension: str
) -> None:
    # Observations of a trace each: windows, which are empty here, do not have their number.
    measure = "count" if view != "observations" or dimension in OF_SPEND else "traces"
    query = f"view={view}&kind=bar&measure={measure}&by={dimension}&{RANGE}"
    page = await client.get(f"{HOME}/explore?{query}")
    assert page.status_code == 200, text_of(page.text)
    bars = _ROW.findall(page.text)
    assert bool(bars) == (dimension not in UNLISTED[view]), text_of(page.text)
    for link, count in bars:
        listed = await client.get(unescape(link))
        assert listed.status_code == 200, text_of(listed.text)
        rows = len(re.findall(r'<a class="open"', listed.text))
        # Traces with the value of a score are not as many as the scores.
        is_exact = f"/{view}?" in link
        assert (rows == int(count)) if is_exact else (rows > 0), link


@pytest.mark.parametrize("name", NAMES)
async def test_each_filter_of_the_overview_is_kept_by_its_links(
    client: httpx.AsyncClient, name: str
) -> None:
    values = {
        "environment": "live", "user_id": "ada", "session_id": "s 1", "trace_name": "chat bot",
        "tags": "c", "release": "r1", "version": "v1", "level": "ERROR", "model": "m 1",
        "name": "the call", "type": "GENERATION", "prompt_name": "p/1", "prompt_version": "3",
    }  # fmt: skip
    for filters in ({name: values[name]}, {"model": "m 1", name: values[name]}):
        parameters = [("filter", f"{each}:{value}") for each, value in filters.items()]
        page = await client.get(f"{HOME}?{RANGE}", params=parameters)
        assert page.status_code == 200, text_of(page.text)
        links = set(re.findall(r'<dd><a href="([^"]+/(?:traces|observations)\?[^"]+)"', page.text))
        assert links or "No calls in this time" in page.text
        for link in links:
            listed = await client.get(unescape(link))
            assert listed.status_code == 200, text_of(listed.text)
            assert len(re.findall(r'<a class="open"', listed.text)) <= 1, link
