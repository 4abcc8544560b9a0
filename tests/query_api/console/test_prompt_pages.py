"""The pages of prompts: folders, versions, their differences and metrics, and forms."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import httpx

from clickhouse.rows import WindowRow
from producers.control.keys import new_api_key
from query_api.console.prompt_texts import names_in, prompt_texts
from query_api.console.text_diff import CONTEXT_LINES, LINES_MAX, WORD_PAIRS_MAX, side_by_side
from streams.core.rollups.sketch import key_of, state_hex
from tests.query_api.console.browser import (
    HOME,
    csrf_in,
    signed_in,
    signed_in_with,
    text_of,
)
from tests.query_api.harness import NOON_US, PROJECT, Api, observation
from tracemill.clock import now_us

SECOND_US = 1_000_000
MARKUP = "<script>alert(1)</script>"
ANSWER = f"{HOME}/prompts/support%2Fanswer"
FIRST = "You are a helper.\nBe polite.\n{{question}}"
LOOP = "{% for each in articles %}{{ each.title }}{% endfor %}"
SECOND = f"You are a helper.\nBe brief.\n{{{{question}}}} {LOOP}"


async def create(api: Api, name: str, prompt: Any, *labels: str, **fields: Any) -> None:
    body = {"name": name, "prompt": prompt, "labels": list(labels), **fields}
    answer = await api.client.post("/api/public/v2/prompts", json=body)
    assert answer.status_code == 201, answer.text


async def with_two_versions(api: Api) -> None:
    await create(api, "support/answer", FIRST, "staging", config={"temperature": 0})
    await create(api, "support/answer", SECOND, "production", tags=["support"])


async def form_values(client: httpx.AsyncClient, path: str) -> dict[str, str]:
    """The hidden fields of the forms of a page."""
    page = (await client.get(path)).text
    hidden = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', page)
    return {unescape(name): unescape(value) for name, value in hidden} | {"csrf": csrf_in(page)}


def link_with(page: str, text: str) -> str:
    found = re.search(rf'<a[^>]*href="([^"]+)"[^>]*>[^<]*{re.escape(text)}', page)
    assert found, text_of(page)
    return unescape(found[1])


async def test_prompts_are_listed_by_folder_with_their_use(api: Api) -> None:
    at_us = now_us() - 3_600 * SECOND_US
    await with_two_versions(api)
    await create(api, "translate", "x", "production")
    await create(api, "support/eu/answer", "x")
    window = WindowRow(
        project_id=PROJECT, window_s=at_us // SECOND_US // 10 * 10, environment="default",
        model="m", name="llm", row_version=1, prompt_name="translate", prompt_version="1",
        observation_count=4, total_cost_pico=4 * 10**10,
        latency_state_hex=state_hex({key_of(1_000): 4}),
    )  # fmt: skip
    await api.insert(window)
    async with signed_in(api) as client:
        page = (await client.get(f"{HOME}/prompts")).text
        shown = text_of(page)
        assert "support/ 2 prompts" in shown
        assert re.search(r"translate production v1 1 .* 4 \$0\.04", shown), shown
        assert "support/answer" not in shown
        folder = (await client.get(f"{HOME}/prompts{link_with(page, 'support/')}")).text
        assert "eu/" in text_of(folder)
        assert "/prompts/support%2Fanswer" in folder
        by_tag = text_of((await client.get(f"{HOME}/prompts?tag=support")).text)
        assert "support/answer" in by_tag
        assert "translate" not in by_tag
        found = text_of((await client.get(f"{HOME}/prompts?q=EU")).text)
        assert "support/eu/answer" in found
        assert "No prompt matches" in (await client.get(f"{HOME}/prompts?q=zz")).text
        for query in ("order=x", "page=0", "page=x", "page=" + "9" * 4_400):
            assert (await client.get(f"{HOME}/prompts?{query}")).status_code == 400


async def test_a_prompt_is_rolled_back_with_one_confirmation(api: Api) -> None:
    await with_two_versions(api)
    async with signed_in(api) as client:
        first = (await client.get(f"{ANSWER}?version=1")).text
        confirm = link_with(first, "Roll production back to v1")
        page = (await client.get(confirm)).text
        assert "Move production from version 2 to version 1?" in text_of(page)
        assert '<span class="changed">brief</span>' in page, "what changes is shown before"
        answer = await client.post(f"{HOME}/prompt-labels", data=await form_values(client, confirm))
        assert answer.status_code == 303, answer.text
        done = (await client.get(answer.headers["location"])).text
        assert "production is now on version 1" in text_of(done)
    held = await api.client.get("/api/public/v2/prompts/support%2Fanswer")
    assert held.json()["version"] == 1


async def test_a_label_is_set_removed_and_refused_next_to_the_prompt(api: Api) -> None:
    await with_two_versions(api)
    async with signed_in(api) as client:
        given = {"csrf": csrf_in((await client.get(ANSWER)).text), "name": "support/answer"}
        for label in ("Bad Label", "latest", ""):
            form = {**given, "version": "1", "label": label}
            answer = await client.post(f"{HOME}/prompt-labels", data=form)
            assert answer.status_code == 422
            assert 'role="alert"' in answer.text
        for version in ("9", "x", ""):
            form = {**given, "version": version, "label": "canary"}
            answer = await client.post(f"{HOME}/prompt-labels", data=form)
            assert answer.status_code in {400, 404}
        remove = f"{ANSWER}?view=remove&label=staging"
        assert "Remove staging from version 1?" in text_of((await client.get(remove)).text)
        form = {**given, "label": "staging"}
        answer = await client.post(f"{HOME}/prompt-label-removals", data=form)
        assert answer.status_code == 303
        assert "staging" not in text_of((await client.get(f"{ANSWER}?version=1")).text)
        again = await client.post(f"{HOME}/prompt-label-removals", data=form)
        assert again.status_code == 404


async def test_two_versions_are_compared_by_text_and_by_metrics(api: Api) -> None:
    await with_two_versions(api)
    at_us = now_us() - 3_600 * SECOND_US
    calls = [
        observation(
            f"t{version}-{n}", f"o{version}-{n}", at_us + n, type="GENERATION",
            end_us=at_us + n + version * SECOND_US + n * 1_000, prompt_name="support/answer",
            prompt_version=version, total_cost_pico=version * 10**10 + n, cost_source="computed",
        )
        for version in (1, 2)
        for n in range(40)
    ]  # fmt: skip
    await api.insert(*calls)
    async with signed_in(api) as client:
        diff = (await client.get(f"{ANSWER}?view=diff&a=1&b=2")).text
        assert '<span class="changed">polite</span>' in diff
        assert '<span class="changed">brief</span>' in diff
        metrics = (await client.get(f"{ANSWER}?view=metrics&a=1&b=2")).text
        shown = text_of(metrics)
        assert "Version 2 against version 1" in shown
        assert re.search(
            r"Cost per call \$0\.010 40 \$0\.020 40 \+\$0\.010 .* 0\.000 worse", shown
        ), shown
        of_first = link_with(metrics, "40")
        listed = (await client.get(of_first)).text
        assert "t2-1" in listed
        assert "t1-1" not in listed
        same = text_of((await client.get(f"{ANSWER}?view=metrics&a=1&b=1")).text)
        assert "Choose two different versions" in same
        for query in ("view=x", "version=9", "view=diff&a=9", "view=metrics&b=x", "view=remove"):
            assert 400 <= (await client.get(f"{ANSWER}?{query}")).status_code < 500


async def test_traffic_is_split_over_labels_by_weight(api: Api) -> None:
    await with_two_versions(api)
    async with signed_in(api) as client:
        page = (await client.get(f"{ANSWER}?view=metrics")).text
        form = {"csrf": csrf_in(page), "name": "support/answer"}
        for weights in ({"staging": "x"}, {"staging": "-1"}, {"staging": "0"}, {"zz": "1"}):
            fields = {f"weight.{label}": weight for label, weight in weights.items()}
            refused = await client.post(f"{HOME}/prompt-splits", data={**form, **fields})
            assert refused.status_code in {400, 422}
            assert 'role="alert"' in refused.text
        weights = {"weight.staging": "1", "weight.production": "3"}
        split = await client.post(f"{HOME}/prompt-splits", data={**form, **weights})
        assert split.status_code == 303, split.text
        shown = (await client.get(split.headers["location"])).text
        assert 'name="weight.production" value="75"' in shown
        path = "/v1/prompts/support%2Fanswer/split"
        shares = (await api.client.get(path)).json()["shares"]
        assert shares == {"production": 0.75, "staging": 0.25}
        empty = {"weight.staging": "", "weight.production": ""}
        await client.post(f"{HOME}/prompt-splits", data={**form, **empty})
        assert (await api.client.get(path)).json()["shares"] == {}


async def test_versions_are_created_with_a_form_that_keeps_what_is_refused(api: Api) -> None:
    async with signed_in(api) as client:
        page = (await client.get(f"{HOME}/prompts/new?folder=support")).text
        assert 'value="support/"' in page
        form = {"csrf": csrf_in(page), "name": "support/new one", "kind": "text"}
        form |= {"text": "Hello\r\n{{name}}", "labels": "production, beta", "tags": "a"}
        for field, value, fault in (
            ("name", "a//b", "folders must have names"),
            ("labels", "No Label", "a to z, digits"),
            ("config", "{", "this is not JSON"),
        ):
            refused = await client.post(f"{HOME}/prompt-versions", data={**form, field: value})
            assert refused.status_code == 422
            assert "{{name}}" in refused.text, "the text is kept"
            assert fault in text_of(refused.text)
            assert f'id="fault-{field}">' in refused.text, "beside the field"
        created = await client.post(f"{HOME}/prompt-versions", data=form)
        assert created.status_code == 303, created.text
        path = created.headers["location"]
        assert "Version 1" in text_of((await client.get(path)).text)
        taken = await client.post(f"{HOME}/prompt-versions", data=form)
        assert taken.status_code == 422
        fields = await form_values(client, f"{path}&view=edit")
        second = {**form, **fields, "text": "Hi {{name}}", "commit_message": "shorter"}
        assert (await client.post(f"{HOME}/prompt-versions", data=second)).status_code == 303
    answer = (await api.client.get("/api/public/v2/prompts/support%2Fnew%20one?version=2")).json()
    assert (answer["prompt"], answer["commitMessage"]) == ("Hi {{name}}", "shorter")
    first = (await api.client.get("/api/public/v2/prompts/support%2Fnew%20one?version=1")).json()
    assert first["prompt"] == "Hello\n{{name}}"


async def test_a_chat_is_written_message_by_message_or_as_json(api: Api) -> None:
    async with signed_in(api) as client:
        form = {
            "csrf": csrf_in((await client.get(f"{HOME}/prompts/new")).text),
            "name": "chat", "kind": "chat", "role.0": "system", "content.0": "Be {{tone}}.",
            "role.1": "placeholder", "content.1": "history",
        }  # fmt: skip
        more = (await client.post(f"{HOME}/prompt-versions", data={**form, "do": "add"})).text
        assert 'name="content.2"' in more
        less = {**form, "do": "remove.0"}
        fewer = (await client.post(f"{HOME}/prompt-versions", data=less)).text
        assert 'name="content.1"' not in fewer.partition("<template")[0]
        bad = {**form, "content.1": "1 name"}
        refused = await client.post(f"{HOME}/prompt-versions", data=bad)
        assert refused.status_code == 422
        created = await client.post(f"{HOME}/prompt-versions", data=form)
        assert created.status_code == 303, created.text
        prompt = (await api.client.get("/api/public/v2/prompts/chat?version=1")).json()["prompt"]
        assert prompt == [
            {"role": "system", "content": "Be {{tone}}."},
            {"type": "placeholder", "name": "history"},
        ]
        message = '[{"role": "assistant", "content": "", "tool_calls": [1]}]'
        as_json = {**form, "name": "tools", "kind": "json", "content": message}
        created = await client.post(f"{HOME}/prompt-versions", data=as_json)
        path = created.headers["location"]
        assert "tool_calls" in text_of((await client.get(path)).text)
        assert '"tool_calls"' in unescape((await client.get(f"{path}&view=edit")).text)


async def test_variables_are_found_while_a_prompt_is_written(api: Api) -> None:
    async with signed_in(api) as client:
        form = {"csrf": csrf_in((await client.get(f"{HOME}/prompts/new")).text), "kind": "text"}
        text = SECOND + "@@@langfusePrompt:name=shared/tone|label=production@@@"
        answer = await client.post(f"{HOME}/prompt-preview", data={**form, "text": text})
        shown = text_of(answer.text)
        assert "Variables question articles" in shown
        assert "shared/tone" in shown
        broken = {**form, "kind": "json", "content": "["}
        answer = await client.post(f"{HOME}/prompt-preview", data=broken)
        assert "this is not JSON" in answer.text


def test_names_of_templates_are_found_without_evaluating_them() -> None:
    assert names_in(["{{ 9 ** 9 ** 9 ** 9 }}{{ 'x' * 10 ** 12 }}{{ a|center(10 ** 12) }}"]) == (
        "a",
    )
    assert names_in(["{% set b = c %}{{ b }}{{ loop.index }}{{ range(3) }}"]) == ("c",)
    assert names_in(["{{ broken }} {% if %}"]) == ("broken",)
    assert names_in(["{{" + "(" * 5_000 + "x"]) == ()
    assert prompt_texts("a {{b}}").messages[0].pieces[1].mark == "variable"


def test_variables_without_an_end_are_text_however_many_there_are() -> None:
    for opening in ("{{", "{%", "{{a"):
        (piece,) = prompt_texts(opening * 300_000).messages[0].pieces  # not in quadratic time
        assert piece.mark == ""
    marks = [
        each.mark for each in prompt_texts("{{a {{ {'b': 1}['b'] }}{% c % 2 %}").messages[0].pieces
    ]
    assert marks == ["", "variable", "variable"]


def test_words_of_many_long_changed_lines_are_not_compared() -> None:
    words = "word " * 100
    pair = (2 * 100 + 1) ** 2  # spaces are words, too
    compared = WORD_PAIRS_MAX // pair
    before = [f"{words}{n}" for n in range(compared + 2)]
    after = [f"{words}x{n}" for n in range(compared + 2)]
    rows = side_by_side("\n".join(before), "\n".join(after)).rows
    numbers = [len(each.left.segments) for each in rows if each.left]
    assert numbers == [2] * compared + [1, 1]


def test_long_unchanged_parts_and_long_texts_are_cut() -> None:
    before = [f"line {n}" for n in range(50)]
    after = [*before[:25], "new", *before[25:]]
    diff = side_by_side("\n".join(before), "\n".join(after))
    assert (diff.added, diff.removed) == (1, 0)
    assert [row.skipped for row in diff.rows if row.skipped] == [22, 22]
    assert len(diff.rows) == 2 * CONTEXT_LINES + 3
    assert side_by_side("x\n" * (LINES_MAX + 1), "y").is_cut
    assert side_by_side("", "").rows == []


async def test_what_prompts_contain_is_shown_as_text(api: Api) -> None:
    message = [{"role": MARKUP, "content": MARKUP, "extra": MARKUP}]
    await create(
        api, "p", message, commitMessage=MARKUP, tags=[MARKUP], config={MARKUP: MARKUP},
    )  # fmt: skip
    await create(api, "p", [{"role": "user", "content": f"{{{{x}}}} {MARKUP} 2"}])
    async with signed_in(api) as client:
        for path in ("prompts", "prompts/p?version=1", "prompts/p?view=edit&version=1",
                     "prompts/p?view=diff", "prompts/p?view=move&version=1&label=x",
                     "prompts/p?view=metrics", "prompts/p"):  # fmt: skip
            page = await client.get(f"{HOME}/{path}")
            assert page.status_code == 200
            assert "alert(1)" in page.text or path.endswith("metrics")
            assert "<script>alert" not in page.text


async def test_a_key_that_only_reads_changes_no_prompt(api: Api) -> None:
    await with_two_versions(api)
    async with signed_in_with(api, "read") as client:
        page = (await client.get(f"{ANSWER}?version=1")).text
        assert "Roll production back" not in page
        assert "New version" not in page
        form = {"csrf": csrf_in(page), "name": "support/answer", "version": "1", "label": "x"}
        for action in ("prompt-labels", "prompt-versions", "prompt-version-deletions"):
            assert (await client.post(f"{HOME}/{action}", data=form)).status_code == 403


async def test_a_protected_label_is_refused_with_the_reason(api: Api) -> None:
    await with_two_versions(api)
    admin = new_api_key(
        key_id="boss", project_id=PROJECT, public_key="pk-boss", secret="sk-boss",
        created_us=NOON_US, scopes=("read", "write", "admin"),
    )  # fmt: skip
    api.control.keep(admin)
    labels = {"labels": ["production"]}
    answer = await api.anonymous.put(
        "/v1/protected-labels", json=labels, auth=("pk-boss", "sk-boss")
    )
    assert answer.status_code == 200, answer.text
    async with signed_in(api) as client:
        confirm = f"{ANSWER}?view=move&version=1&label=production"
        form = await form_values(client, confirm)
        refused = await client.post(f"{HOME}/prompt-labels", data=form)
        assert refused.status_code == 403
        assert "scope &#39;admin&#39;" in refused.text


async def test_a_version_and_with_the_last_one_the_prompt_is_deleted(api: Api) -> None:
    await with_two_versions(api)
    async with signed_in(api) as client:
        confirm = f"{ANSWER}?view=delete&version=1"
        assert "Delete version 1?" in text_of((await client.get(confirm)).text)
        form = await form_values(client, confirm)
        assert (await client.post(f"{HOME}/prompt-version-deletions", data=form)).status_code == 303
        assert (await client.get(f"{ANSWER}?version=1")).status_code == 404
        form["version"] = "2"
        answer = await client.post(f"{HOME}/prompt-version-deletions", data=form)
        assert answer.headers["location"] == f"{HOME}/prompts"
        assert (await client.get(ANSWER)).status_code == 404
        assert "No prompts yet" in (await client.get(f"{HOME}/prompts")).text
