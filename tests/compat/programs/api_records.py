"""Make the calls of the generated clients about records of a project: models, configs, keys."""

import inspect
import os
import uuid
from datetime import UTC, datetime

import langfuse.api as types
from recording import call, eventually, has


def give(function, request_type, **fields):
    """Call a method that takes one object, as until version 3, or its fields."""
    if "request" in inspect.signature(function).parameters:
        return function(request=getattr(types, request_type)(**fields))
    return function(**fields)


def record_calls(api, server, made):
    models(api, made["prefix"])
    score_configs(api, made["prefix"])
    api_keys(api)
    datasets(api, made)
    prompts(api, made["prefix"])
    traces(api, server, made)


def models(api, prefix):
    name = f"{prefix}-model"
    fields = {"match_pattern": f"(?i)^{name}$", "unit": "TOKENS", "input_price": 0.000002}

    @call("api.models.create, get, list, delete", there=has(api, "models", "create"))
    def _():
        created = give(api.models.create, "CreateModelRequest", model_name=name, **fields)
        assert (created.input_price, created.is_langfuse_managed) == (0.000002, False)
        assert api.models.get(created.id).model_name == name
        assert created.id in {each.id for each in api.models.list(limit=100).data}
        api.models.delete(created.id)
        assert created.id not in {each.id for each in api.models.list(limit=100).data}

    @call("api.models.upsert", there=has(api, "models", "upsert"))
    def _():
        created = api.models.create(model_name=f"{name}-2", **fields)
        changed = fields | {"input_price": 0.000003}
        replaced = api.models.upsert(created.id, model_name=f"{name}-2", **changed)
        assert replaced.input_price == 0.000003


def score_configs(api, prefix):
    score_type = getattr(types, "ScoreConfigDataType", getattr(types, "ScoreDataType", None))

    @call("api.score_configs.create, get, get_by_id", there=has(api, "score_configs", "create"))
    def _():
        fields = {"name": f"{prefix} grade", "data_type": score_type.CATEGORICAL}
        category = types.ConfigCategory(value=1, label="good")
        created = give(
            api.score_configs.create, "CreateScoreConfigRequest", categories=[category], **fields
        )
        assert api.score_configs.get_by_id(created.id).categories[0].label == "good"
        assert created.id in {each.id for each in api.score_configs.get(limit=100).data}

    @call("api.score_configs.update", there=has(api, "score_configs", "update"))
    def _():
        fields = {"name": f"{prefix} rate", "data_type": score_type.NUMERIC}
        created = give(
            api.score_configs.create, "CreateScoreConfigRequest", min_value=0, max_value=1, **fields
        )
        if "request" in inspect.signature(api.score_configs.update).parameters:
            change = {"request": types.UpdateScoreConfigRequest(is_archived=True)}
        else:
            change = {"is_archived": True}
        assert api.score_configs.update(created.id, **change).is_archived


def api_keys(api):
    @call(
        "api.projects.create_api_key, get_api_keys, delete_api_key",
        there=has(api, "projects", "create_api_key"),
    )
    def _():
        project_id = api.projects.get().data[0].id
        headers = {"Authorization": f"Bearer {os.environ['ADMIN_SECRET_KEY']}"}
        options = {"request_options": {"additional_headers": headers}}
        created = api.projects.create_api_key(project_id, note="of a test", **options)
        assert created.secret_key.startswith("sk-")
        listed = api.projects.get_api_keys(project_id, **options).api_keys
        assert created.public_key in {each.public_key for each in listed}
        assert api.projects.delete_api_key(project_id, created.id, **options).success
        left = api.projects.get_api_keys(project_id, **options).api_keys
        assert created.id not in {each.id for each in left}


def datasets(api, made):
    dataset, item_id = f"{made['prefix']}/records", f"{made['prefix']}-record"

    @call("api.dataset_items.create, get", there=has(api, "dataset_items", "create"))
    def _():
        give(api.datasets.create, "CreateDatasetRequest", name=dataset)
        give(
            api.dataset_items.create,
            "CreateDatasetItemRequest",
            dataset_name=dataset,
            id=item_id,
            input="a",
            source_trace_id=made["trace"],
        )
        assert api.dataset_items.get(item_id).source_trace_id == made["trace"]
        assert api.datasets.get(dataset).name == dataset

    @call("api.dataset_items.list", there=has(api, "dataset_items", "list"))
    def _():
        found = api.dataset_items.list(source_trace_id=made["trace"]).data
        assert [each.id for each in found] == [item_id]

    has_runs = has(api, "dataset_run_items", "create") and has(api, "datasets", "get_run")

    @call("api.dataset_run_items.create, api.datasets.get_run, delete_run", there=has_runs)
    def _():
        made_item = give(
            api.dataset_run_items.create,
            "CreateDatasetRunItemRequest",
            run_name="r 1",
            dataset_item_id=item_id,
            trace_id=made["trace"],
        )
        run = api.datasets.get_run(dataset, "r 1")
        assert [each.id for each in run.dataset_run_items] == [made_item.id]
        assert [each.name for each in api.datasets.get_runs(dataset).data] == ["r 1"]
        if has(api, "dataset_run_items", "list"):
            found = api.dataset_run_items.list(dataset_id=run.dataset_id, run_name="r 1").data
            assert [each.trace_id for each in found] == [made["trace"]]
        api.datasets.delete_run(dataset, "r 1")
        assert api.datasets.get_runs(dataset).data == []

    @call("api.dataset_items.delete", there=has(api, "dataset_items", "delete"))
    def _():
        api.dataset_items.delete(item_id)
        assert api.dataset_items.list(dataset_name=dataset).data == []


def prompts(api, prefix):
    @call("api.prompts.get, api.prompt_version.update", there=has(api, "prompt_version", "update"))
    def _():
        name = f"{prefix}/greeting"
        updated = api.prompt_version.update(name=name, version=1, new_labels=["moved"])
        assert "moved" in updated.labels
        assert api.prompts.get(name, label="moved").version == 1


def traces(api, server, made):
    @call("api.ingestion.batch", there=has(api, "ingestion", "batch"))
    def _():
        trace_id = uuid.uuid4().hex
        now = datetime.now(UTC).isoformat()
        body = types.TraceBody(id=trace_id, name="batched", metadata={"n": 1})
        event = {"id": uuid.uuid4().hex, "timestamp": now, "body": body}
        sent = types.IngestionEvent_TraceCreate(type="trace-create", **event)
        answer = api.ingestion.batch(batch=[sent])
        assert (len(answer.successes), answer.errors) == (1, [])
        found = eventually(lambda: server.get(f"/api/public/traces/{trace_id}"))
        assert (found["name"], found["metadata"]) == ("batched", {"n": 1})

    @call("api.opentelemetry.export_traces", there=has(api, "opentelemetry", "export_traces"))
    def _():
        trace_id, now_ns = uuid.uuid4().hex, int(datetime.now(UTC).timestamp() * 10**9)
        span = types.OtelSpan(
            trace_id=trace_id,
            span_id=uuid.uuid4().hex[:16],
            name="exported",
            kind=1,
            start_time_unix_nano=str(now_ns),
            end_time_unix_nano=str(now_ns + 10**6),
            attributes=[],
            status={},
        )
        scope = types.OtelScopeSpan(scope=types.OtelScope(name="s", attributes=[]), spans=[span])
        resource = types.OtelResourceSpan(
            resource=types.OtelResource(attributes=[]), scope_spans=[scope]
        )
        api.opentelemetry.export_traces(resource_spans=[resource])
        found = server.trace(trace_id, observations=1, scores=0)
        assert found["observations"][0]["name"] == "exported"

    @call("api.legacy.observations_v1", there=has(api, "legacy", "observations_v1"))
    def _():
        legacy = api.legacy.observations_v1
        assert legacy.get(made["observation"]).trace_id == made["trace"]
        found = {each.id for each in legacy.get_many(trace_id=made["trace"]).data}
        assert made["observation"] in found

    @call("api.legacy.score_v1", there=has(api, "legacy", "score_v1"))
    def _():
        created = api.legacy.score_v1.create(trace_id=made["trace"], name="legacy", value=1.0)
        eventually(lambda: made["scores"]("legacy"))
        api.legacy.score_v1.delete(created.id)
        eventually(lambda: not made["scores"]("legacy"))

    @call("api.trace.delete_multiple", there=has(api, "trace", "delete_multiple"))
    def _():
        trace_id = uuid.uuid4().hex
        made["send_trace"](trace_id)
        eventually(lambda: server.get(f"/api/public/traces/{trace_id}"))
        api.trace.delete_multiple(trace_ids=[trace_id])
        eventually(lambda: server.is_gone(f"/api/public/traces/{trace_id}"))
