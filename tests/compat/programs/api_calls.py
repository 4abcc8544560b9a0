"""Make the calls that the generated clients of Python's SDKs share."""

import base64
import functools
import hashlib
from datetime import UTC, datetime, timedelta

import httpx
from api_records import record_calls
from recording import call, eventually, has, not_served

HOUR = timedelta(hours=1)
CONTENT = b"an image"


def api_calls(api, server, made):
    """Make the calls. ``made`` names what the program sent: trace, observation, session, prefix."""
    prefix = made["prefix"]
    since = datetime.now(UTC) - HOUR
    reads(api, made, since)
    scores(api, made)
    comments_and_media(api, made)
    record_calls(api, server, made)
    prompts_and_datasets(api, prefix)
    missing(api)

    @call("api.trace.delete", there=has(api, "trace", "delete"))
    def _():
        api.trace.delete(made["trace"])
        eventually(lambda: server.is_gone(f"/api/public/traces/{made['trace']}"))


def reads(api, made, since):
    trace_id = made["trace"]

    @call("api.trace.get", there=has(api, "trace", "get"))
    def _():
        assert api.trace.get(trace_id).name == made["name"]

    @call("api.trace.list", there=has(api, "trace", "list"))
    def _():
        assert [each.id for each in api.trace.list(name=made["name"]).data] == [trace_id]

    @call("api.observations.get", there=has(api, "observations", "get"))
    def _():
        assert api.observations.get(made["observation"]).trace_id == trace_id

    @call("api.observations.get_many", there=has(api, "observations", "get_many"))
    def _():
        assert made["observation"] in {
            each.id for each in api.observations.get_many(trace_id=trace_id).data
        }

    @call("api.observations_v_2.get_many", there=has(api, "observations_v_2", "get_many"))
    def _():
        found = api.observations_v_2.get_many(trace_id=trace_id).data
        ids = {each["id"] if isinstance(each, dict) else each.id for each in found}
        assert made["observation"] in ids

    @call("api.sessions.get", there=has(api, "sessions", "get"))
    def _():
        assert [each.id for each in api.sessions.get(made["session"]).traces] == [trace_id]

    @call("api.sessions.list", there=has(api, "sessions", "list"))
    def _():
        assert made["session"] in {each.id for each in api.sessions.list(limit=100).data}

    @call("api.metrics.daily", there=has(api, "metrics", "daily"))
    def _():
        (day,) = api.metrics.daily(trace_name=made["name"], limit=1).data
        assert day.count_traces == 1

    query = (
        '{"view":"observations","metrics":[{"measure":"count","aggregation":"count"}],'
        f'"dimensions":[],"filters":[{{"column":"traceName","operator":"=","value":"{made["name"]}",'
        f'"type":"string"}}],"fromTimestamp":"{since.isoformat()}",'
        f'"toTimestamp":"{(since + 2 * HOUR).isoformat()}"}}'
    )
    for name in ("metrics", "metrics_v_2"):

        @call(f"api.{name}.metrics", there=has(api, name, "metrics"))
        def _(name=name):
            (row,) = getattr(api, name).metrics(query=query).data
            assert int(row["count_count"]) == made["observations"]

    @call("api.projects.get", there=has(api, "projects", "get"))
    def _():
        assert len(api.projects.get().data) == 1

    @call("api.health.health", there=has(api, "health", "health"))
    def _():
        assert api.health.health().status == "OK"


def scores(api, made):
    trace_id = made["trace"]
    given = {"NUMERIC": 0.5, "BOOLEAN": 1, "CATEGORICAL": "good", "TEXT": "well put"}
    given["CORRECTION"] = "a better answer"
    writer = getattr(api, "score", None) or getattr(api, "scores", None)
    types = made["score_types"] if has(writer, "create") else ()
    for data_type, value in given.items():

        @call(f"api.scores.create {data_type}", there=data_type in types)
        def _(data_type=data_type, value=value):
            name = "output" if data_type == "CORRECTION" else f"api {data_type.lower()}"
            score = {"trace_id": trace_id, "name": name, "value": value, "data_type": data_type}
            if made["major"] == 4:
                writer.create(**score)
            else:
                writer.create(request=made["score_request"](score))
            eventually(lambda: made["scores"](name))

    @call("api.scores.get_many", there=has(api, "scores", "get_many"))
    def _():
        assert api.scores.get_many(trace_id=trace_id).data

    @call("api.score.get", there=has(api, "score", "get"))
    def _():
        assert api.score.get(name="trace score", **made.get("score_source", {})).data

    @call("api.score_v_2.get", there=has(api, "score_v_2", "get"))
    def _():
        assert api.score_v_2.get(trace_id=trace_id).data

    @call("api.scores_v3.get_many_v3", there=has(api, "scores_v3", "get_many_v3"))
    def _():
        assert api.scores_v3.get_many_v3(trace_id=trace_id).data
        of_run = api.scores_v3.get_many_v3(experiment_id=made["experiment"](), fields="subject")
        assert {each.subject.kind for each in of_run.data} == {"experiment"}

    @call("api.score.get_by_id", there=has(api, "score", "get_by_id"))
    def _():
        (score,) = made["scores"]("trace score")
        assert api.score.get_by_id(score["id"]).value == 0.5

    @call("api.score_v_2.get_by_id", there=has(api, "score_v_2", "get_by_id"))
    def _():
        (score,) = made["scores"]("trace score")
        assert api.score_v_2.get_by_id(score["id"]).value == 0.5

    @call("api.scores.get_by_id", there=has(api, "scores", "get_by_id"))
    def _():
        (score,) = made["scores"]("trace score")
        assert api.scores.get_by_id(score["id"]).value == 0.5

    @call("api.scores.delete", there=has(writer, "delete"))
    def _():
        (score,) = made["scores"]("api numeric")
        writer.delete(score["id"])
        eventually(lambda: not made["scores"]("api numeric"))


def comments_and_media(api, made):
    trace_id = made["trace"]

    @call("api.comments", there=has(api, "comments", "create"))
    def _():
        project = api.projects.get().data[0].id
        fields = {
            "project_id": project,
            "object_type": "TRACE",
            "object_id": trace_id,
            "content": "odd",
        }
        if made["major"] < 4:
            fields = {"request": made["comment_request"](**fields)}
        created = api.comments.create(**fields)
        assert api.comments.get_by_id(created.id).content == "odd"
        found = api.comments.get(object_type="TRACE", object_id=trace_id).data
        assert [each.id for each in found] == [created.id]

    @call("api.media", there=has(api, "media", "get_upload_url"))
    def _():
        content = CONTENT + made["prefix"].encode()
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        fields = {
            "trace_id": trace_id,
            "content_type": "image/png",
            "content_length": len(content),
            "sha256hash" if made["major"] >= 4 else "sha_256_hash": digest,
            "field": "input",
        }
        if made["major"] < 4:
            fields = {"request": made["media_request"](**fields)}
        found = api.media.get_upload_url(**fields)
        if found.upload_url:
            headers = {"content-type": "image/png", "x-amz-checksum-sha256": digest}
            answer = httpx.put(found.upload_url, content=content, headers=headers)
            assert answer.is_success, answer.text
            patch = {"uploaded_at": datetime.now(UTC), "upload_http_status": 200}
            if made["major"] < 4:
                patch = {"request": made["patch_request"](**patch)}
            api.media.patch(found.media_id, **patch)
        assert httpx.get(api.media.get(found.media_id).url).content == content


def prompts_and_datasets(api, prefix):
    @call("api.prompts.list", there=has(api, "prompts", "list"))
    def _():
        name = f"{prefix}/greeting"
        assert [each.name for each in api.prompts.list(name=name).data] == [name]

    @call("api.prompts.delete", there=has(api, "prompts", "delete"))
    def _():
        name = f"{prefix}/greeting"
        api.prompts.delete(name)
        assert api.prompts.list(name=name).data == []

    @call("api.datasets.list", there=has(api, "datasets", "list"))
    def _():
        assert f"{prefix}/set" in {each.name for each in api.datasets.list(limit=100).data}


def missing(api):
    """Call what the server does not have."""
    feedback = {"target_type": "docs", "target": "x", "feedback": "y"}
    for group, name, fields in (
        ("annotation_queues", "list_queues", {}),
        ("llm_connections", "list", {}),
        ("blob_storage_integrations", "get_blob_storage_integrations", {}),
        ("organizations", "get_organization_projects", {}),
        ("scim", "get_service_provider_config", {}),
        ("evaluators", "list", {}),
        ("evaluation_rules", "list", {}),
        ("feedback", "submit", feedback),
        ("unstable.dashboards", "list", {}),
        ("unstable.skills", "list", {}),
    ):
        path = (*group.split("."), name)
        there = has(api, *path)
        function = functools.reduce(getattr, path, api) if there else None
        not_served(f"api.{group}", functools.partial(function or missing, **fields), there=there)
