"""The pages of datasets, and of runs side by side."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from query_api.console.dataset_forms import item_form_of
from tests.query_api.console.browser import (
    HOME,
    SIGN_IN,
    browser,
    csrf_in,
    signed_in,
    text_of,
)
from tests.query_api.console.form_fields import fields_of
from tests.query_api.console.test_two_tabs import STALE
from tests.query_api.harness import NOON_US, OTHER, PROJECT, Api, score, trace

BILLING = f"{HOME}/datasets/support%2Fbilling"
MARKUP = "<script>alert(1)</script>"
SECOND_US = 1_000_000


async def posted(api: Api, path: str, **body: Any) -> Any:
    answer = await api.client.post(f"/api/public/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def with_items(api: Api, count: int = 3, name: str = "support/billing") -> None:
    await posted(api, "v2/datasets", name=name, description="Invoices")
    for n in range(count):
        await posted(
            api, "dataset-items", datasetName=name, id=f"item-{n}",
            input={"question": f"Why {n}?"}, expectedOutput=f"because {n}",
        )  # fmt: skip


async def with_runs(api: Api) -> None:
    """Two runs: the second is worse for item 0, better for item 1, and lacks item 2."""
    await with_items(api)
    rows: list[Any] = []
    values = {("a", 0): 0.9, ("a", 1): 0.4, ("a", 2): 0.5, ("b", 0): 0.2, ("b", 1): 0.6}
    for (run, item), value in values.items():
        name = f"{run}-{item}"
        rows.append(
            trace(
                name,
                NOON_US,
                end_us=NOON_US + SECOND_US,
                output=f'"answer {name}"',
                total_cost_pico=10**9,
                observation_count=1,
                error_count=int(name == "b-1"),
            )
        )
        rows.append(score(f"s-{name}", name="correctness", value=value, trace_id=name))
        await posted(
            api, "dataset-run-items", runName=run, datasetItemId=f"item-{item}", traceId=name
        )
    await api.insert(*rows)


async def test_datasets_and_their_items_are_listed(api: Api) -> None:
    async with signed_in(api) as client:
        assert "No datasets yet" in (await client.get(f"{HOME}/datasets")).text
        await with_items(api, 52)
        listed = await client.get(f"{HOME}/datasets")
        assert "support/billing Invoices 52" in text_of(listed.text)
        page = (await client.get(BILLING)).text
        assert len(re.findall('class="open"', page)) == 50
        following = re.search(r'rel="next" href="([^"]+)"', page)
        assert following
        rest = await client.get(f"{BILLING}{unescape(following[1])}")
        assert len(re.findall('class="open"', rest.text)) == 2
        item = text_of((await client.get(f"{BILLING}?item=item-7")).text)
        assert "question Why 7?" in item
        assert "because 7" in item
        await posted(api, "v2/datasets", name="other")
        long = "?page=000000001" + "9" * 4_400
        for path in ("?item=missing", "?tab=x", "?page=0", long, "?status=x"):
            assert 400 <= (await client.get(f"{BILLING}{path}")).status_code < 500
        assert (await client.get(f"{HOME}/datasets/other?item=item-7")).status_code == 404


async def test_a_comparison_with_a_name_that_is_too_long_is_refused(api: Api) -> None:
    async with signed_in(api) as client:
        refused = await client.get(f"{HOME}/experiments?runs=a&dataset={'x' * 2_001}")
        assert refused.status_code == 400
        assert "dataset: it has 2001 characters; at most 2000 allowed" in text_of(refused.text)


async def test_a_dataset_is_created_and_changed_with_a_form(api: Api) -> None:
    async with signed_in(api) as client:
        form = {
            "csrf": csrf_in((await client.get(f"{HOME}/dataset-new")).text),
            "name": "support/billing",
            "description": "Invoices",
            "input_schema": '{"type": "object", "required": ["question"]}',
        }
        for field, value in (("input_schema", "{"), ("metadata", "x"), ("name", "")):
            refused = await client.post(f"{HOME}/dataset-changes", data={**form, field: value})
            assert refused.status_code == 422
            assert f'id="fault-{field}">' in refused.text
            assert "Invoices" in refused.text
        created = await client.post(f"{HOME}/dataset-changes", data=form)
        assert created.status_code == 303, created.text
        assert created.headers["location"] == BILLING
        taken = await client.post(f"{HOME}/dataset-changes", data=form)
        assert taken.status_code == 422
        opened = {
            "version": fields_of((await client.get(f"{BILLING}?tab=settings")).text)["version"]
        }
        change = {**form, **opened, "is_change": "1", "description": "Bills", "input_schema": ""}
        assert (await client.post(f"{HOME}/dataset-changes", data=change)).status_code == 303
        settings = unescape((await client.get(f"{BILLING}?tab=settings")).text)
        assert "Bills" in settings
        for version in (opened, {"version": ""}):
            stale = await client.post(
                f"{HOME}/dataset-changes", data={**change, **version, "description": "Late"}
            )
            assert stale.status_code == 412
            assert STALE in text_of(stale.text)
            assert "Late" in stale.text, "what the viewer typed is kept"
            assert "tab=settings" in stale.text, "the form can be opened again"
        assert "Bills" in (await client.get(f"{BILLING}?tab=settings")).text
    dataset = (await api.client.get("/api/public/v2/datasets/support%2Fbilling")).json()
    assert dataset["inputSchema"] is None


async def test_an_item_is_added_changed_archived_and_deleted(api: Api) -> None:
    await posted(api, "v2/datasets", name="support/billing", inputSchema={"required": ["question"]})
    async with signed_in(api) as client:
        page = (await client.get(f"{BILLING}?add=1")).text
        form = {
            "csrf": csrf_in(page), "dataset": "support/billing", "id": "i/1",
            "input": '{"question": "Why?"}', "expected_output": "because",
        }  # fmt: skip
        refused = await client.post(
            f"{HOME}/dataset-item-changes", data={**form, "input": '{"x": 1}'}
        )
        assert refused.status_code == 400
        assert 'id="fault-input">' in refused.text
        assert "because" in refused.text
        added = await client.post(f"{HOME}/dataset-item-changes", data=form)
        assert added.status_code == 303, added.text
        taken = await client.post(f"{HOME}/dataset-item-changes", data=form)
        assert 'id="fault-id">' in taken.text
        edit = f"{BILLING}?item=i%2F1&edit=1"
        opened = {"version": fields_of((await client.get(edit)).text)["version"]}
        change = {**form, **opened, "is_change": "1", "expected_output": "42"}
        assert (await client.post(f"{HOME}/dataset-item-changes", data=change)).status_code == 303
        item = (await api.client.get("/api/public/dataset-items/i%2F1")).json()
        assert (item["input"], item["expectedOutput"]) == ({"question": "Why?"}, 42)
        late = await client.post(
            f"{HOME}/dataset-item-changes", data={**change, "expected_output": "late"}
        )
        assert late.status_code == 412
        assert STALE in text_of(late.text)
        assert "late" in late.text
        assert (await api.client.get("/api/public/dataset-items/i%2F1")).json() == item
        state = {"csrf": form["csrf"], "dataset": "support/billing", "item": "i/1"}
        for status in ("ARCHIVED", "ACTIVE", "DELETE"):
            done = await client.post(
                f"{HOME}/dataset-item-states", data={**state, "status": status}
            )
            assert done.status_code == 303
            listed = (await client.get(f"{BILLING}?status=ARCHIVED")).text
            assert ("i/1" in listed) == (status == "ARCHIVED")
        gone = await client.post(f"{HOME}/dataset-item-states", data={**state, "status": "ACTIVE"})
        assert gone.status_code == 404


async def test_the_form_of_an_item_means_the_same_values_again(api: Api) -> None:
    await posted(api, "v2/datasets", name="d")
    for value in ("text", "42", "null", '"quoted"', "[1", 42, -1.5, True, [1, {"a": None}], "a\nb"):
        await posted(api, "dataset-items", datasetName="d", id="i", input=value)
        stored = await api.client.get("/api/public/dataset-items/i")
        assert stored.json()["input"] == value
        async with signed_in(api) as client:
            edit = (await client.get(f"{HOME}/datasets/d?item=i&edit=1")).text
        text = re.search(r'name="input"[^>]*>\n(.*?)</textarea>', edit, re.DOTALL)
        assert text
        form = item_form_of({"input": unescape(text[1])})
        assert form.body("d").input == value


async def test_two_runs_are_compared_and_the_worst_regression_is_opened(api: Api) -> None:
    await with_runs(api)
    async with signed_in(api) as client:
        runs = (await client.get(f"{BILLING}?tab=runs")).text
        chosen = re.findall(r'name="runs" value="(\w)"[^>]*checked', runs)
        assert chosen == ["b", "a"]
        query = {"dataset": "support/billing", "runs": chosen, "newest_first": "1"}
        page = (await client.get(f"{HOME}/experiments", params=query)).text
        shown = text_of(page)
        assert "a against b" in shown, "the earlier run is the baseline"
        assert "Worst regression: correctness 0.9 → 0.2 · b" in shown
        assert "answer a-0" in shown
        assert "not run" in shown
        worst = re.search(r'href="([^"]+)">open its trace', page)
        assert worst
        assert worst[1] == f"{HOME}/traces/b-0"
        assert (await client.get(worst[1])).status_code == 200
        query |= {"runs": ["a", "b"], "newest_first": ""}
        for only, items in (
            ("regressions", ["item-0"]), ("improvements", ["item-1"]),
            ("failed", ["item-1"]), ("missing", ["item-2"]),
            ("all", ["item-0", "item-1", "item-2"]),
        ):  # fmt: skip
            found = await client.get(f"{HOME}/experiments", params={**query, "only": only})
            assert re.findall(r'class="open"[^>]*>([^<]+)<', found.text) == items
        one = await client.get(f"{HOME}/experiments", params={**query, "runs": ["a"]})
        assert one.status_code == 200
        bad: list[dict[str, Any]] = [
            {"only": "x"}, {"runs": []}, {"runs": ["a", "zz"]}, {"dataset": "zz"},
            {"runs": [f"{n}" for n in range(11)]}, {"page": "x"},
        ]  # fmt: skip
        for changed in bad:
            answer = await client.get(f"{HOME}/experiments", params={**query, **changed})
            assert 400 <= answer.status_code < 500, changed


async def test_links_that_sdks_print_lead_to_the_comparison(api: Api) -> None:
    await with_runs(api)
    async with signed_in(api) as client:
        found = await client.get(f"{HOME}/experiments/results", params={"baseline": "e/1"})
        assert (found.status_code, found.headers["location"]) == (
            303, f"{HOME}/experiments?runs=e%2F1",
        )  # fmt: skip
        assert (await client.get(f"{HOME}/experiments/results")).status_code == 400
        run = (await api.client.get("/api/public/datasets/support%2Fbilling/runs/b")).json()
        link = f"{HOME}/datasets/{run['datasetId']}/runs/{run['id']}"
        opened = await client.get(link)
        assert opened.status_code == 303, opened.text
        assert "answer b-0" in text_of((await client.get(opened.headers["location"])).text)
        of_dataset = f"{HOME}/datasets/{run['datasetId']}"
        compared = f"{of_dataset}/compare?runs={run['id']}&runs=absent"
        for address, target in (
            (of_dataset, BILLING),
            (f"{of_dataset}/items", BILLING),
            (f"{of_dataset}/items/a%2Fb", f"{BILLING}?item=a%2Fb"),
            (f"{of_dataset}/runs", f"{BILLING}?tab=runs"),
            (compared, opened.headers["location"]),
        ):
            assert (await client.get(address)).headers["location"] == target, address
        for absent in (f"{link}x", f"{of_dataset}/compare", f"{of_dataset}/x", f"{of_dataset}x"):
            assert (await client.get(absent)).status_code == 404, absent


async def test_links_without_a_project_lead_to_the_project_that_has_the_trace(api: Api) -> None:
    await api.insert(trace("ours/1", 10), trace("theirs", 10, project_id=OTHER))
    link = "/trace/ours%2F1"
    answer = await api.anonymous.get(link)
    assert (answer.status_code, answer.headers["location"]) == (
        307, "/api/public/traces/ours%2F1",
    )  # fmt: skip
    async with browser(api) as client:
        answer = await client.get(link)
        assert answer.headers["location"] == "/console/sign-in?next=%2Ftrace%2Fours%252F1"
    async with signed_in(api) as client:
        assert (await client.get(link)).headers["location"] == f"{HOME}/traces/ours%2F1"
        for absent in ("theirs", "absent", ""):
            assert (await client.get(f"/trace/{absent}")).status_code == 404
        form = {"public_key": f"pk-{OTHER}", "secret_key": f"sk-{OTHER}", "next": link}
        assert (await client.post(SIGN_IN, data=form)).headers["location"] == link
        for trace_id, project in (("ours%2F1", PROJECT), ("theirs", OTHER)):
            answer = await client.get(f"/trace/{trace_id}")
            assert answer.headers["location"] == f"/project/{project}/traces/{trace_id}"


async def test_a_run_is_deleted_and_its_traces_remain(api: Api) -> None:
    await with_runs(api)
    async with signed_in(api) as client:
        form = {"csrf": csrf_in((await client.get(BILLING)).text), "dataset": "support/billing"}
        for run, status in (("b", 303), ("b", 404), ("zz", 404)):
            answer = await client.post(f"{HOME}/dataset-run-deletions", data={**form, "run": run})
            assert answer.status_code == status
        assert (await client.get(f"{HOME}/traces/b-0")).status_code == 200


async def test_what_datasets_contain_is_shown_as_text(api: Api) -> None:
    await posted(api, "v2/datasets", name=MARKUP, description=MARKUP, metadata={MARKUP: MARKUP})
    await posted(
        api, "dataset-items", datasetName=MARKUP, id=MARKUP, input={MARKUP: MARKUP},
        expectedOutput=MARKUP, metadata=MARKUP,
    )  # fmt: skip
    await api.insert(
        trace("t", NOON_US, output=MARKUP), score("s", name=MARKUP, value=1, trace_id="t")
    )
    await posted(
        api, "dataset-run-items", runName=MARKUP, runDescription=MARKUP, metadata={"a": MARKUP},
        datasetItemId=MARKUP, traceId="t",
    )  # fmt: skip
    async with signed_in(api) as client:
        listed = (await client.get(f"{HOME}/datasets")).text
        path = re.search(r'class="open" href="([^"]+)"', listed)
        assert path
        dataset = unescape(path[1])
        item = {"item": MARKUP}
        query = {"dataset": MARKUP, "runs": MARKUP}
        for address, parameters in (
            (f"{HOME}/datasets", {}), (dataset, {}), (dataset, item),
            (dataset, {**item, "edit": "1"}), (dataset, {"tab": "runs"}),
            (dataset, {"tab": "settings"}), (f"{HOME}/experiments", query),
        ):  # fmt: skip
            page = await client.get(address, params=parameters)
            assert page.status_code == 200
            assert "alert(1)" in page.text
            assert "<script>alert" not in page.text
