"""The playground: a prompt or a call is edited, compiled and saved."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import httpx

from query_api.console.playground_form import FIELDS_MAX
from tests.query_api.console.browser import HOME, csrf_in, signed_in, signed_in_with, text_of
from tests.query_api.harness import Api, observation, trace
from tracemill.clock import now_us

PLAYGROUND = f"{HOME}/playground"
CHAT = [
    {"role": "system", "content": "Answer in {{language}}."},
    {"type": "placeholder", "name": "history"},
    {"role": "user", "content": "{{ question }}"},
]


async def create(api: Api, name: str, prompt: Any) -> None:
    body = {"name": name, "prompt": prompt, "labels": ["production"]}
    answer = await api.client.post("/api/public/v2/prompts", json=body)
    assert answer.status_code == 201, answer.text


async def fields_of(client: httpx.AsyncClient, query: str) -> dict[str, str]:
    """The fields of the form as a browser sends them."""
    page = (await client.get(f"{PLAYGROUND}?{query}")).text
    form = page[page.index("data-prompt-form") :]
    form = re.sub(r"<template.*?</template>", "", form, flags=re.DOTALL)
    found = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form))
    found |= dict(re.findall(r'<input name="([^"]+)" value="([^"]*)"', form))
    found |= dict(re.findall(r'<textarea name="([^"]+)"[^>]*>\n?(.*?)</textarea>', form, re.DOTALL))
    for name, options in re.findall(r'<select name="([^"]+)".*?>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'<option(?: value="([^"]+)")? selected>([^<]+)', options)
        assert chosen
        found[name] = chosen[1] or chosen[2]
    return {name: unescape(value) for name, value in found.items()}


async def test_a_version_is_compiled_with_the_values_of_its_variables(api: Api) -> None:
    await create(api, "tone", "Be brief.")
    reference = "@@@langfusePrompt:name=tone|label=production@@@"
    await create(
        api, "answer", [{**CHAT[0], "content": f"{CHAT[0]['content']} {reference}"}, *CHAT[1:]]
    )
    async with signed_in(api) as client:
        page = await client.get(f"{HOME}/prompts/answer")
        assert f"{PLAYGROUND}?prompt=answer&amp;version=1" in page.text
        opened = await client.get(f"{PLAYGROUND}?prompt=answer")
        assert "Connections to models are not there yet" in text_of(opened.text)
        form = await fields_of(client, "prompt=answer&version=1")
        assert {"value.language", "value.question", "placeholder.history"} <= form.keys()
        given = {
            "value.language": "French", "value.question": "{{language}}?",
            "placeholder.history": '[{"role": "assistant", "content": "Hello."}]',
        }  # fmt: skip
        part = await client.post(f"{HOME}/playground-previews", data={**form, **given})
        shown = text_of(part.text)
        sent = shown[shown.index("As it is sent") :]
        assert "Answer in French. Be brief." in sent
        assert "assistant Hello. user {{language}}?" in sent, "values are not searched again"
        assert "Without a value" not in sent
        part = await client.post(
            f"{HOME}/playground-previews", data={**form, "value.question": "?"}
        )
        assert "Without a value: language history" in text_of(part.text)


async def test_the_messages_are_saved_as_a_version_and_compiled_as_an_item(api: Api) -> None:
    await create(api, "answer", CHAT[::2])
    async with signed_in(api) as client:
        form = await fields_of(client, "prompt=answer")
        edited = {
            **form, "content.0": "Always answer in {{language}}.", "commit_message": "stricter",
            "value.language": "French", "value.question": "Où?", "dataset": "tries/1",
            "expected": '{"answer": 1}',
        }  # fmt: skip
        saved = await client.post(f"{HOME}/playground-versions", data=edited)
        assert saved.status_code == 303, text_of(saved.text)
        assert saved.headers["location"] == f"{HOME}/prompts/answer?version=2"
        item = await client.post(f"{HOME}/playground-items", data=edited)
        assert item.status_code == 303, text_of(item.text)
        assert item.headers["location"] == f"{HOME}/datasets/tries%2F1"
    version = (await api.client.get("/api/public/v2/prompts/answer?version=2")).json()
    assert version["prompt"][0]["content"] == "Always answer in {{language}}."
    assert version["commitMessage"] == "stricter"
    assert version["labels"] == ["latest"]
    (found,) = (await api.client.get("/api/public/dataset-items?datasetName=tries/1")).json()[
        "data"
    ]
    assert found["input"] == [
        {"role": "system", "content": "Always answer in French."},
        {"role": "user", "content": "Où?"},
    ]
    assert found["expectedOutput"] == {"answer": 1}


async def test_a_call_of_a_trace_is_opened_and_kept_as_the_source(api: Api) -> None:
    messages = [{"role": "user", "content": "Where is it?"}]
    tools = [{"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]}]
    at_us = now_us()
    await api.insert(
        trace("t", at_us),
        observation("t", "g", at_us, type="GENERATION", output="Here.",
                    input=json.dumps({"messages": messages, "model": "m"})),
        observation("t", "text", at_us, type="GENERATION", input="a text"),
        observation("t", "tools", at_us, type="GENERATION", input=json.dumps(tools)),
    )  # fmt: skip
    async with signed_in(api) as client:
        page = await client.get(f"{HOME}/traces/t?observation=g")
        assert f"{PLAYGROUND}?trace=t&amp;observation=g" in page.text
        form = await fields_of(client, "trace=t&observation=g")
        assert (form["role.0"], form["content.0"]) == ("user", "Where is it?")
        await client.post(f"{HOME}/playground-items", data={**form, "dataset": "d"})
        assert (await fields_of(client, "trace=t&observation=text"))["text"] == "a text"
        assert (
            json.loads((await fields_of(client, "trace=t&observation=tools"))["content"]) == tools
        )
    (item,) = (await api.client.get("/api/public/dataset-items?datasetName=d")).json()["data"]
    assert item["input"] == messages
    assert item["expectedOutput"] == "Here."
    assert (item["sourceTraceId"], item["sourceObservationId"]) == ("t", "g")


async def test_what_is_wrong_is_named_and_the_form_kept(api: Api) -> None:
    await create(api, "answer", CHAT)
    async with signed_in(api) as client:
        form = await fields_of(client, "prompt=answer")
        refused = await client.post(
            f"{HOME}/playground-items",
            data={**form, "placeholder.history": "{}", "dataset": "d", "value.language": "kept"},
        )
        assert refused.status_code == 422
        assert "history : must be a JSON array of messages" in text_of(refused.text)
        assert ">\nkept</textarea>" in refused.text
        unnamed = await client.post(f"{HOME}/playground-items", data={**form, "dataset": ""})
        assert unnamed.status_code == 422
        assert re.search(r'id="fault-dataset">[^<]+', unnamed.text)
        text = {"csrf": form["csrf"], "kind": "text", "name": "answer", "text": "a text"}
        other = await client.post(f"{HOME}/playground-versions", data=text)
        assert other.status_code == 400
        assert "different prompt type" in other.text
        many = " ".join(f"{{{{v{n}}}}}" for n in range(FIELDS_MAX + 1))
        part = await client.post(f"{HOME}/playground-previews", data={**text, "text": many})
        assert f"at most {FIELDS_MAX} variables" in part.text
        missing = {**text, "text": "@@@langfusePrompt:name=absent|version=1@@@"}
        part = await client.post(f"{HOME}/playground-previews", data=missing)
        assert "dependency not found" in part.text
        assert (await client.get(f"{PLAYGROUND}?prompt=absent")).status_code == 404
        assert (await client.get(f"{PLAYGROUND}?trace=x&observation=absent")).status_code == 404
        assert (await client.get(f"{PLAYGROUND}?prompt=answer&version=9")).status_code == 404


async def test_who_may_only_read_compiles_and_cannot_save(api: Api) -> None:
    async with signed_in_with(api, "read") as client:
        page = (await client.get(PLAYGROUND)).text
        assert "Connections to models are not there yet" in page
        assert "playground-versions" not in page
        form = {"csrf": csrf_in(page), "kind": "text", "text": "Hi {{name}}", "value.name": "Ada"}
        edited = await client.post(f"{HOME}/playground-edits", data=form)
        assert "Hi Ada" in text_of(edited.text)
        assert (await client.post(f"{HOME}/playground-items", data=form)).status_code == 403
