"""Media in a bucket: clients upload to it and read from it by signed URLs."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import boto3
import httpx
import pytest
from botocore.config import Config

from producers.documents.kinds.media import Media
from query_api.media.lookups import LOOKUPS_AT_ONCE_MAX, uploaded_media
from query_api.media.s3_signing import S3Access, presigned_url
from query_api.settings import QuerySettings
from tests.fixtures.s3 import ACCESS_KEY, REGION, SECRET_KEY, S3Server
from tests.fixtures.s3 import s3_server as s3_server  # noqa: PLC0414  a fixture
from tests.query_api.harness import PROJECT, Api, opened
from tests.query_api.test_dataset_routes import dataset, item
from tests.query_api.test_media_routes import CONTENT, HASH, ID, MEDIA, body


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    name = f"media-{uuid.uuid4().hex[:12]}"
    s3_server.client().create_bucket(Bucket=name)
    return name


def access_of(server: S3Server) -> S3Access:
    return S3Access(server.endpoint, REGION, ACCESS_KEY, SECRET_KEY)


@pytest.fixture
async def media(
    clickhouse_url: str, shared_database: str, s3_server: S3Server, bucket: str
) -> AsyncIterator[Api]:
    settings = QuerySettings(media_url=f"s3://{bucket}/of tests & <more>", media_max_bytes=100)
    async with opened(clickhouse_url, shared_database, settings, access_of(s3_server)) as api:
        await api.empty()
        yield api


async def put(url: str, content: bytes = CONTENT, **changes: str) -> int:
    """Upload as the SDKs do."""
    headers = {"content-type": "image/png", "x-amz-checksum-sha256": HASH, **changes}
    async with httpx.AsyncClient() as client:
        return (await client.put(url, content=content, headers=headers)).status_code


async def test_media_are_uploaded_to_the_bucket_and_read_from_it(media: Api) -> None:
    answer = await media.client.post(MEDIA, json=body())
    assert (answer.status_code, answer.json()["mediaId"]) == (201, ID), answer.text
    url = answer.json()["uploadUrl"]
    assert (await media.client.get(f"{MEDIA}/{ID}")).status_code == 404
    assert await put(url, CONTENT[::-1]) >= 400, "another hash"
    assert await put(url, CONTENT + b"x") >= 400, "another length"
    assert await put(url, **{"content-type": "text/html"}) == 403
    assert await put(url.replace("Expires=3600", "Expires=9999")) == 403
    assert (await media.client.get(f"{MEDIA}/{ID}")).status_code == 404
    assert await put(url) == 200

    shown = (await media.client.get(f"{MEDIA}/{ID}")).json()
    async with httpx.AsyncClient() as client:
        content = await client.get(shown["url"])
        assert (content.content, content.headers["content-type"]) == (CONTENT, "image/png")
        assert content.headers["content-disposition"] == "attachment"
        assert (await client.delete(shown["url"])).status_code == 403
    again = await media.client.post(MEDIA, json=body(traceId="t2"))
    assert again.json() == {"mediaId": ID, "uploadUrl": None}
    assert (await media.other.get(f"{MEDIA}/{ID}")).status_code == 404
    assert (await media.other.post(MEDIA, json=body())).json()["uploadUrl"]


async def test_objects_of_a_deleted_project_are_removed(
    media: Api,
) -> None:
    for client in (media.client, media.other):
        url = (await client.post(MEDIA, json=body())).json()["uploadUrl"]
        assert await put(url) == 200
    store = media.client._transport.app.state.context.media  # type: ignore[attr-defined]
    assert await store.delete_project(PROJECT) == 1
    assert await store.delete_project(PROJECT) == 0
    assert (await media.client.get(f"{MEDIA}/{ID}")).status_code == 404
    assert (await media.other.get(f"{MEDIA}/{ID}")).status_code == 200


async def test_a_bucket_that_is_away_is_a_503(clickhouse_url: str, shared_database: str) -> None:
    settings = QuerySettings(media_url="s3://absent")
    nowhere = S3Access("http://127.0.0.1:9", REGION, ACCESS_KEY, SECRET_KEY)
    async with opened(clickhouse_url, shared_database, settings, nowhere) as api:
        await api.empty()
        answer = await api.client.post(MEDIA, json=body())
        assert answer.status_code == 503
        assert "bucket" in answer.json()["message"]


async def test_items_are_listed_without_their_media_while_the_bucket_is_away(
    clickhouse_url: str, shared_database: str
) -> None:
    settings = QuerySettings(media_url="s3://absent")
    nowhere = S3Access("http://127.0.0.1:9", REGION, ACCESS_KEY, SECRET_KEY)
    async with opened(clickhouse_url, shared_database, settings, nowhere) as api:
        await api.empty()
        await dataset(api, "d")
        media = Media(content_type="image/png", content_length=1, sha256=HASH)
        context = api.client._transport.app.state.context  # type: ignore[attr-defined]
        await context.documents.create(PROJECT, media, id_=ID)
        text = f"@@@langfuseMedia:type=image/png|id={ID}|source=bytes@@@"
        await item(api, "d", id="a", input=text)
        answer = await api.client.get("/api/public/dataset-items?datasetName=d")
    assert answer.status_code == 200, answer.text
    (shown,) = answer.json()["data"]
    assert (shown["input"], shown["mediaReferences"]) == (text, [])


class SlowStore:
    """Answers at once about some media, and never about others."""

    def __init__(self) -> None:
        self.running = self.most = 0

    async def has(self, _: str, media_id: str) -> bool:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await (asyncio.Event().wait() if media_id == "slow" else asyncio.sleep(0))
        finally:
            self.running -= 1
        return True


async def test_media_are_looked_up_concurrently_up_to_a_limit_and_a_time() -> None:
    store = SlowStore()
    ids = ["slow", *map(str, range(100))]
    assert await uploaded_media(store, PROJECT, ids, 0.5) == set(ids) - {"slow"}  # type: ignore[arg-type]
    assert (store.most, store.running) == (LOOKUPS_AT_ONCE_MAX, 0)


@pytest.mark.parametrize("endpoint", ["https://s3.example.com", "http://127.0.0.1:9000"])
def test_urls_are_those_of_boto3(endpoint: str) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="ID",
        aws_secret_access_key="se/cr+et",
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    types = {"ResponseContentType": "image/png", "ResponseContentDisposition": "attachment"}
    theirs = client.generate_presigned_url(
        "get_object", Params={"Bucket": "b", "Key": "a b/ü+~=.png", **types}, ExpiresIn=77
    )
    at = datetime.strptime(
        parse_qs(urlsplit(theirs).query)["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ"
    ).replace(tzinfo=UTC)
    query = {"response-content-type": "image/png", "response-content-disposition": "attachment"}
    ours = presigned_url(
        S3Access(endpoint, REGION, "ID", "se/cr+et"),
        "GET", "b/a b/ü+~=.png", at=at, valid_s=77, query=query,
    )  # fmt: skip
    assert urlsplit(ours)[:3] == urlsplit(theirs)[:3]
    assert parse_qs(urlsplit(ours).query) == parse_qs(urlsplit(theirs).query)
