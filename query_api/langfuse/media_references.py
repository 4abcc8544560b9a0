"""Resolve references to media in items of datasets, with which SDKs replace the references."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from producers.documents.kinds.dataset_item import DatasetItem
from producers.documents.kinds.media import Media
from query_api import metrics
from query_api.context import AppContext
from query_api.documents.document import Document, document_of
from query_api.media.lookups import uploaded_media

REFERENCE: Final = re.compile(r"@@@langfuseMedia:([^@]+)@@@")


class ReferencedMedia(msgspec.Struct, rename="camel", kw_only=True):
    media_id: str
    content_type: str
    content_length: int
    url: str
    url_expiry: str


class MediaReference(msgspec.Struct, rename="camel", kw_only=True):
    field: str
    reference_string: str
    json_path: str
    """JSONPath of the reference within the field."""
    media: ReferencedMedia


async def media_references_of(
    context: AppContext, items: Sequence[Document[DatasetItem]], base_url: str
) -> dict[str, list[MediaReference]]:
    """Return the references to uploaded media of each item that has some, by the item's id.

    At most ``media_references_max`` are resolved; the others remain texts. So do those of which the
    store of media does not answer within ``media_lookups_timeout_s``.

    Raises:
        UnavailableError, TooCostlyError: the store did not answer in time.
    """
    store = context.media
    found = [(item.id, *each) for item in items for each in _references(item.body)]
    if store is None or not found:
        return {}
    limit = context.settings.media_references_max
    if len(found) > limit:
        metrics.LIMITS_REACHED.labels("media_references_max").inc()
    project_id = items[0].project_id
    ids = dict.fromkeys(_id_of(text) for _, _, _, text in found[:limit])
    records = await context.documents.records(Media, project_id, ids)
    media: dict[str, ReferencedMedia] = {}
    live = {media_id: record for media_id, record in records.items() if not record.is_deleted}
    timeout_s = context.settings.media_lookups_timeout_s
    uploaded = await uploaded_media(store, project_id, live, timeout_s)
    for media_id, record in live.items():
        if media_id not in uploaded:
            continue
        body = document_of(Media, record).body
        media[media_id] = ReferencedMedia(
            media_id=media_id,
            content_type=body.content_type,
            content_length=body.content_length,
            url=store.url(base_url, "GET", project_id, media_id, body),
            url_expiry=store.expiry(),
        )
    references: dict[str, list[MediaReference]] = {}
    for item_id, field, path, text in found[:limit]:
        if _id_of(text) in media:
            reference = MediaReference(
                field=field, reference_string=text, json_path=path, media=media[_id_of(text)]
            )
            references.setdefault(item_id, []).append(reference)
    return references


def _references(item: DatasetItem) -> Iterator[tuple[str, str, str]]:
    """Yield field, path and text of each value that is a reference."""
    fields = {
        "input": item.input,
        "expectedOutput": item.expected_output,
        "metadata": item.metadata,
    }
    for field, content in fields.items():
        remaining: list[tuple[str, Any]] = [("$", content)]
        while remaining:
            path, value = remaining.pop()
            if isinstance(value, dict):
                remaining += ((f"{path}['{key}']", each) for key, each in value.items())
            elif isinstance(value, list):
                remaining += ((f"{path}[{index}]", each) for index, each in enumerate(value))
            elif isinstance(value, str) and REFERENCE.fullmatch(value):
                yield field, path, value


def _id_of(reference: str) -> str:
    """Return the id in a reference such as ``@@@langfuseMedia:type=image/png|id=…@@@``."""
    match = REFERENCE.fullmatch(reference)
    parts = match.group(1).split("|") if match else []
    return next((each[3:] for each in parts if each.startswith("id=")), "")
