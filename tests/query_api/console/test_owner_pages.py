"""The pages of sessions and users, and a session as a conversation."""

from __future__ import annotations

import re
from html import unescape

from clickhouse.rows import SpendRow
from tests.query_api.console.browser import HOME, signed_in, text_of
from tests.query_api.harness import PROJECT, Api, observation, trace
from tracemill.clock import now_us

MARKUP = "<script>alert(1)</script>/a b\"'"
SECOND_US = 1_000_000


async def test_sessions_and_users_are_listed_sorted_and_paged(api: Api) -> None:
    start_us = now_us() - 600 * SECOND_US
    await api.insert(
        *(
            trace(
                f"t{n}", start_us + n * SECOND_US, session_id=f"session-{n:02}",
                user_id=f"user-{n % 3}", total_cost_pico=(n + 1) * 10**10,
                end_us=start_us + n * SECOND_US + 5_000, unpriced_count=int(n == 59),
            )
            for n in range(60)
        ),
        trace("theirs", now_us(), project_id="globex", session_id="secret", user_id="secret"),
    )  # fmt: skip
    async with signed_in(api) as client:
        page = await client.get(f"{HOME}/sessions")
        found = re.findall(r'class="open" href="[^"]+">([^<]+)<', page.text)
        assert found == [f"session-{n:02}" for n in range(59, 9, -1)]
        following = re.search(r'rel="next" href="([^"]+)"', page.text)
        assert following
        rest = await client.get(f"{HOME}/sessions{unescape(following[1])}")
        assert len(re.findall(r'class="open"', rest.text)) == 10
        by_cost = await client.get(f"{HOME}/users?order=cost")
        assert re.findall(r">(user-\d)<", by_cost.text) == ["user-2", "user-1", "user-0"]
        assert "secret" not in page.text + by_cost.text
        for listed in (page, by_cost):
            assert len(re.findall('title="1 call without a price"', listed.text)) == 1
        for query in ("order=x", "cursor=x", "range=x", "cursor=" + "x" * 3_000):
            assert (await client.get(f"{HOME}/users?{query}")).status_code >= 400
        assert (await client.get(f"{HOME}/sessions?to=2020-01-01T00:00:00Z")).status_code == 200


async def test_a_session_is_shown_as_a_conversation(api: Api) -> None:
    start_us = now_us() - 600 * SECOND_US
    await api.insert(
        trace("first", start_us, session_id=MARKUP, input="Where is my parcel?", output="Berlin"),
        trace("second", start_us + 5, session_id=MARKUP, input=MARKUP, name=MARKUP, user_id=MARKUP),
        trace("theirs", start_us, project_id="globex", session_id="theirs"),
    )
    async with signed_in(api) as client:
        listed = await client.get(f"{HOME}/sessions")
        path = re.search(r'class="open" href="([^"]+)"', listed.text)
        assert path
        page = await client.get(unescape(path[1]))
        assert page.status_code == 200
        shown = text_of(page.text)
        assert shown.index("Where is my parcel?") < shown.index("Berlin")
        assert "<script>alert" not in page.text + listed.text
        users = await client.get(f"{HOME}/users")
        assert "<script>alert" not in users.text
        of_user = re.search(r'class="open" href="([^"]+)"', users.text)
        assert of_user
        user = await client.get(unescape(of_user[1]))
        assert "<script>alert" not in user.text
        assert f'href="{path[1]}"' in user.text
        for absent in ("theirs", "absent"):
            assert (await client.get(f"{HOME}/sessions/{absent}")).status_code == 404
        for cursor in ("x", "x" * 3_000):
            refused = await client.get(f"{unescape(path[1])}?cursor={cursor}")
            assert 400 <= refused.status_code < 500


async def test_a_user_is_shown_with_spend_budgets_sessions_and_traces(api: Api) -> None:
    start_us = now_us() - 600 * SECOND_US
    budget = {"name": "Each user", "group_by": ["user_id"], "period": "day", "limit_usd": "2"}
    call = {"user_id": "a/b", "cost_source": "computed", "type": "GENERATION"}
    await api.insert(
        trace("t1", start_us, user_id="a/b", session_id="talk", name="first",
              end_us=start_us + 2 * SECOND_US, total_cost_pico=10**12, usage={"input": 1_200}),
        trace("t2", start_us + 5, user_id="a/b", name=MARKUP, error_count=3,
              total_cost_pico=2 * 10**11),
        observation("t1", "o1", start_us, model="m-1", total_cost_pico=10**12, **call),
        observation("t2", "o2", start_us, model=MARKUP, total_cost_pico=2 * 10**11, **call),
        trace("t3", start_us, user_id="other", name="of another user"),
        trace("theirs", start_us, project_id="globex", user_id="theirs"),
        *(
            SpendRow(
                bucket_s=now_us() // (900 * SECOND_US) * 900, project_id=PROJECT, user_id=user_id,
                model="m", environment="e", total_cost_pico=10**11, unpriced_count=unpriced,
                row_version=1, user_tier=tier,
            )
            for user_id, unpriced, tier in (("a/b", 1, "pro"), ("other", 4, "free"))
        ),
    )  # fmt: skip
    async with signed_in(api) as client:
        assert text_of((await client.get(f"{HOME}/users")).text).count("Set a limit") == 2
    created = await api.client.post("/v1/budgets", json=budget)
    assert created.status_code == 201, created.text
    of_tier = {"name": "Of professionals", "scope": {"user_tier": "pro"}, "period": "month"}
    of_tier |= {"group_by": ["user_id"], "limit_usd": "9"}
    assert (await api.client.post("/v1/budgets", json=of_tier)).status_code == 201
    for name, user_id in (("Of this user", "a/b"), ("Of the other", "other")):
        scoped = {"name": name, "scope": {"user_id": user_id}, "period": "week", "limit_usd": "5"}
        assert (await api.client.post("/v1/budgets", json=scoped)).status_code == 201
    async with signed_in(api) as client:
        listed = await client.get(f"{HOME}/users")
        for more in (1, 2):
            assert text_of(listed.text).count(f"$5.00 per week and {more} more") == 1
        assert "Set a limit" not in text_of(listed.text)
        path = f"{HOME}/users/a%2Fb"
        assert f'class="open" href="{path}"' in listed.text
        page = await client.get(path)
        assert page.status_code == 200, text_of(page.text)
        shown = text_of(page.text)
        for text in ("Traces 2", "Errors 3", "Cost $1.20", "Tokens 1,200", "m-1 1 $1.00",
                     "first 2 s $1.00", "talk 1 $1.00",
                     "passed $0.10 + 1 call without a price / $5.00 2.0%",
                     "passed $0.00 + 1 call without a price / $2.00 0%"):  # fmt: skip
            assert text in shown, text
        for text in ("Of this user per week Threshold: 80%", "Each user per day Threshold: 80%"):
            assert text in shown, text
        assert re.findall(r'data-kind="stacked"[^>]*>([^<]+)</th>', page.text)[0] == "m-1"
        calls = f"{HOME}/observations?range=30d&amp;q=user%3Aa/b%20model%3Am-1"
        assert f'href="{calls}">1</a>' in page.text
        (traces,) = re.findall(r'href="([^"]+)">2</a></td>', listed.text)
        assert "2 s" in text_of((await client.get(unescape(traces))).text)
        assert f"{HOME}/budgets/{created.json()['id']}" in page.text
        assert "of another user" not in shown
        assert "Of the other" not in shown
        assert "Of professionals per month Threshold: 80%" in shown
        other = text_of((await client.get(f"{HOME}/users/other")).text)
        assert "Of professionals" not in other
        assert "<script>alert" not in page.text
        assert (await client.get(f"{path}?range=24h")).status_code == 200
        assert (await client.get(f"{path}?range=1y")).status_code == 400
        for absent in ("theirs", "absent"):
            assert (await client.get(f"{HOME}/users/{absent}")).status_code == 404
