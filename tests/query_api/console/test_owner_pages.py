"""The pages of sessions and users, and a session as a conversation."""

from __future__ import annotations

import re
from html import unescape

from tests.query_api.console.browser import HOME, signed_in, text_of
from tests.query_api.harness import Api, trace
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
                end_us=start_us + n * SECOND_US + 5_000,
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
        traces = await client.get(unescape(of_user[1]))
        assert len(re.findall(r'class="open"', traces.text)) == 1
        for absent in ("theirs", "absent"):
            assert (await client.get(f"{HOME}/sessions/{absent}")).status_code == 404
        for cursor in ("x", "x" * 3_000):
            refused = await client.get(f"{unescape(path[1])}?cursor={cursor}")
            assert 400 <= refused.status_code < 500
