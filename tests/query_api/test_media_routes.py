"""Media: upload and download by signed URLs."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from producers.control.kinds.project import Project
from producers.errors import InitError
from query_api.media.local_media import LocalMedia
from query_api.openapi.media_examples import MEDIA_REQUEST_EXAMPLE, UPLOAD_EXAMPLE
from query_api.settings import QuerySettings
from tests.query_api.harness import NOON_US, PROJECT, Api, opened

MEDIA = "/api/public/media"
CONTENT = b"\x89PNG of a test"
HASH = base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()
ID = HASH.replace("+", "-").replace("/", "_")[:22]


def body(**changes: Any) -> dict[str, Any]:
    return {
        "traceId": "t",
        "contentType": "image/png",
        "contentLength": len(CONTENT),
        "sha256Hash": HASH,
        "field": "input",
        **changes,
    }


@pytest.fixture
async def media(clickhouse_url: str, shared_database: str, tmp_path: Path) -> AsyncIterator[Api]:
    settings = QuerySettings(media_dir=str(tmp_path / "media"), media_max_bytes=100)
    async with opened(clickhouse_url, shared_database, settings) as api:
        await api.empty()
        yield api


async def upload_url(api: Api, **changes: Any) -> str:
    answer = await api.client.post(MEDIA, json=body(**changes))
    assert (answer.status_code, answer.json()["mediaId"]) == (201, ID), answer.text
    return str(answer.json()["uploadUrl"])


async def put(
    api: Api, url: str, content: bytes = CONTENT, content_type: str = "image/png"
) -> httpx.Response:
    return await api.anonymous.put(url, content=content, headers={"content-type": content_type})


async def test_media_are_uploaded_once_and_read_back(media: Api) -> None:
    url = await upload_url(media)
    assert (await media.client.get(f"{MEDIA}/{ID}")).status_code == 404
    assert (await put(media, url)).status_code == 200
    uploaded = {"uploadedAt": "2026-11-21T12:00:00Z", "uploadHttpStatus": 200, "uploadTimeMs": 3}
    assert (await media.client.patch(f"{MEDIA}/{ID}", json=uploaded)).status_code == 204

    shown = (await media.client.get(f"{MEDIA}/{ID}")).json()
    assert shown["urlExpiry"].endswith("Z")
    assert {name: shown[name] for name in ("mediaId", "contentType", "contentLength")} == {
        "mediaId": ID,
        "contentType": "image/png",
        "contentLength": len(CONTENT),
    }
    assert shown["uploadedAt"] == "2026-11-21T12:00:00.000Z"
    content = await media.anonymous.get(shown["url"])
    assert (content.content, content.headers["content-type"]) == (CONTENT, "image/png")
    assert "sandbox" in content.headers["content-security-policy"]

    again = await media.client.post(MEDIA, json=body(traceId="t2"))
    assert again.json() == {"mediaId": ID, "uploadUrl": None}
    assert (await media.other.get(f"{MEDIA}/{ID}")).status_code == 404
    assert (await media.other.post(MEDIA, json=body())).json()["uploadUrl"]


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"x", CONTENT[::-1], b""])
async def test_content_that_was_not_announced_is_refused(media: Api, content: bytes) -> None:
    url = await upload_url(media)
    assert (await put(media, url, content)).status_code == 400
    assert (await media.client.get(f"{MEDIA}/{ID}")).status_code == 404
    assert (await put(media, url)).status_code == 200


async def test_content_of_another_type_than_the_announced_one_is_refused(media: Api) -> None:
    url = await upload_url(media)
    refused = await put(media, url, content_type="text/html")
    assert (refused.status_code, "image/png" in refused.json()["message"]) == (400, True)
    assert (await media.client.get(f"{MEDIA}/{ID}")).status_code == 404
    assert (await put(media, url, content_type="Image/PNG; q=1")).status_code == 200


async def test_urls_expire(clickhouse_url: str, shared_database: str, tmp_path: Path) -> None:
    settings = QuerySettings(media_dir=str(tmp_path / "media"), media_url_valid_s=1)
    async with opened(clickhouse_url, shared_database, settings) as api:
        await api.empty()
        upload = await upload_url(api)
        assert (await put(api, upload)).status_code == 200
        read = (await api.client.get(f"{MEDIA}/{ID}")).json()["url"]
        deadline_s = time.monotonic() + 60
        while (answer := await api.anonymous.get(read)).status_code == 200:
            assert time.monotonic() < deadline_s
            await asyncio.sleep(0.05)
        assert (answer.status_code, answer.json()["message"]) == (403, "the URL has expired")
        assert (await put(api, upload)).status_code == 403
        # A new URL reads it: the content does not expire, also without such a trace.
        again = (await api.client.get(f"{MEDIA}/{ID}")).json()["url"]
        assert "expires_s" in again
        assert again != read


async def test_urls_permit_only_what_was_signed(media: Api) -> None:
    url = await upload_url(media)
    for changed in (
        url.replace(f"length={len(CONTENT)}", "length=99"),
        url.replace("expires_s=", "expires_s=9"),
        url.replace(f"/{PROJECT}/", "/globex/"),
        url.replace("method=PUT", "method=GET"),
        url.partition("&signature=")[0],
    ):
        assert changed != url
        assert (await put(media, changed)).status_code == 403
    assert (await media.anonymous.get(url)).status_code == 405


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"contentLength": 101}, "contentLength: at most 100 bytes"),
        ({"contentLength": 0}, "contentLength"),
        ({"contentType": "text/html; charset=utf-8"}, "contentType"),
        ({"sha256Hash": "abc"}, "sha256Hash: must be the Base64 of a SHA-256"),
        ({"field": "body"}, "field"),
        ({"traceId": None}, "set exactly one"),
    ],
)
async def test_invalid_media_are_refused(media: Api, changes: dict[str, Any], message: str) -> None:
    answer = await media.client.post(MEDIA, json=body(**changes))
    assert answer.status_code == 400
    assert message in answer.text


async def test_files_of_a_deleted_project_are_removed(media: Api, tmp_path: Path) -> None:
    url = await upload_url(media)
    assert (await put(media, url)).status_code == 200
    read = (await media.client.get(f"{MEDIA}/{ID}")).json()["url"]
    media.control.view.remove("project", PROJECT)
    media.control.keep(Project(id=PROJECT, name="x", created_us=NOON_US, state="deleting"))
    assert (await media.anonymous.get(read)).status_code == 403
    assert (await put(media, url)).status_code == 403


def test_a_directory_that_cannot_be_written_is_an_invalid_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = QuerySettings(media_dir=str(tmp_path / "file" / "media"))
    with pytest.raises(InitError, match=r"^TRACEMILL_QUERY_MEDIA_DIR: "):
        LocalMedia(None, settings)  # type: ignore[arg-type]


async def test_the_example_of_the_document_is_accepted(media: Api) -> None:
    answer = await media.client.post(MEDIA, json=MEDIA_REQUEST_EXAMPLE)
    assert (answer.status_code, answer.json()["mediaId"]) == (201, UPLOAD_EXAMPLE["mediaId"])


async def test_without_a_directory_media_are_refused(api: Api) -> None:
    answer = await api.client.post(MEDIA, json=body())
    assert (answer.status_code, "TRACEMILL_QUERY_MEDIA_DIR" in answer.text) == (404, True)


async def test_references_to_uploaded_media_in_items_of_datasets_are_resolved(media: Api) -> None:
    assert (await put(media, await upload_url(media))).status_code == 200
    reference = f"@@@langfuseMedia:type=image/png|id={ID}|source=bytes@@@"
    absent = "@@@langfuseMedia:type=image/png|id=absent|source=bytes@@@"
    await media.client.post("/api/public/v2/datasets", json={"name": "d"})
    sent = {
        "datasetName": "d",
        "id": "i",
        "input": {"image": reference, "list": [absent, [reference]], "text": f"see {reference}"},
        "expectedOutput": reference,
        "metadata": {"no id": "@@@langfuseMedia:type=image/png@@@"},
    }
    made = (await media.client.post("/api/public/dataset-items", json=sent)).json()
    assert (made["input"]["image"], made["mediaReferences"]) == (reference, [])
    listed = (await media.client.get("/api/public/dataset-items?datasetName=d")).json()["data"]
    alone = (await media.client.get("/api/public/dataset-items/i")).json()
    for item in (*listed, alone):
        found = {(each["field"], each["jsonPath"]) for each in item["mediaReferences"]}
        assert found == {
            ("input", "$['image']"), ("input", "$['list'][1][0]"), ("expectedOutput", "$"),
        }  # fmt: skip
        for each in item["mediaReferences"]:
            assert (each["referenceString"], each["media"]["mediaId"]) == (reference, ID)
            assert (await media.anonymous.get(each["media"]["url"])).content == CONTENT
    await media.other.post("/api/public/v2/datasets", json={"name": "d"})
    await media.other.post("/api/public/dataset-items", json={**sent, "id": "o"})
    foreign = (await media.other.get("/api/public/dataset-items/o")).json()
    assert foreign["mediaReferences"] == []
