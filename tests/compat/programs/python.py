"""Make the calls of version 3, 4 or 5 of Langfuse's Python SDK, and print their states."""

import json
import os
import uuid
from datetime import UTC, datetime
from importlib.metadata import version

import langfuse as sdk
import langfuse.api as types
from api_calls import api_calls
from langfuse import Langfuse, observe
from langfuse.media import LangfuseMedia
from recording import Server, call, eventually, has, report

major = int(version("langfuse").split(".")[0])
langfuse = Langfuse()
server = Server(
    os.environ["LANGFUSE_HOST"],
    os.environ["LANGFUSE_PUBLIC_KEY"],
    os.environ["LANGFUSE_SECRET_KEY"],
)
prefix = f"py-{version('langfuse')}-{uuid.uuid4().hex[:8]}"
name, session = f"{prefix} trace", f"{prefix} session"
image = LangfuseMedia(content_bytes=f"image of {prefix}".encode(), content_type="image/png")


def traced():
    """Send a trace, with the attributes that its version has for traces."""
    with langfuse.start_as_current_observation(name="span", as_type="span", input={"q": 1}) as span:
        with langfuse.start_as_current_observation(
            name="generation",
            as_type="generation",
            model="gpt-4o-mini",
            model_parameters={"temperature": 0.2},
        ) as generation:
            langfuse.update_current_generation(
                output="a", usage_details={"input": 10, "output": 5}, metadata={"k": "v"}
            )
        tool = langfuse.start_observation(name="tool", as_type="tool", input="x")
        tool.end()
        langfuse.create_event(name="event", level="DEBUG")
        langfuse.update_current_span(
            level="WARNING", status_message="slow", metadata={"of": {"image": image}}
        )
        langfuse.score_current_trace(name="trace score", value=0.5)
        langfuse.score_current_span(name="span score", value=1, data_type="BOOLEAN")
        generation.score(name="observation score", value="good", data_type="CATEGORICAL")
        span.score_trace(name="from span", value=0.25)
        span.update(output="o")
        return span.trace_id, span.id, generation.id


if major == 3:
    with langfuse.start_as_current_span(name=name) as root:
        root.update_trace(name=name, user_id="ada", session_id=session, tags=["a"])
        langfuse.update_current_trace(input="q", output="a", metadata={"plan": "pro"})
        trace_id, span_id, generation_id = traced()
else:
    with (
        sdk.propagate_attributes(
            user_id="ada", session_id=session, tags=["a"], trace_name=name, metadata={"plan": "pro"}
        ),
        langfuse.start_as_current_observation(name=name, input="q") as root,
    ):
        trace_id, span_id, generation_id = traced()
        root.update(output="a")
langfuse.create_score(trace_id=trace_id, name="direct", value=3.0, comment="c")
langfuse.create_score(session_id=session, name="of the session", value=1.0)
langfuse.flush()
read = server.trace(trace_id, observations=5, scores=5)
by_name = {each["name"]: each for each in read["observations"]}
by_score = {each["name"]: each for each in read["scores"]}


def scores_named(wanted):
    return server.get("/api/public/v2/scores", name=wanted, traceId=trace_id)["data"]


@call("update_current_trace" if major == 3 else "propagate_attributes")
def _():
    assert (read["name"], read["userId"], read["sessionId"]) == (name, "ada", session)
    assert (read["tags"], read["metadata"]["plan"]) == (["a"], "pro")
    assert (read["input"], read["output"]) == ("q", "a")


@call("start_as_current_observation")
def _():
    assert (by_name["span"]["input"], by_name["span"]["output"]) == ({"q": 1}, "o")
    assert by_name["generation"]["parentObservationId"] == span_id


@call("start_observation")
def _():
    assert (by_name["tool"]["type"], by_name["tool"]["input"]) == ("TOOL", "x")


@call("update_current_span")
def _():
    assert (by_name["span"]["level"], by_name["span"]["statusMessage"]) == ("WARNING", "slow")


@call("update_current_generation")
def _():
    found = by_name["generation"]
    assert (found["output"], found["metadata"]["k"], found["usage"]["total"]) == ("a", "v", 15)
    assert found["modelParameters"] == {"temperature": 0.2}
    assert found["calculatedTotalCost"] > 0


@call("create_event")
def _():
    assert (by_name["event"]["type"], by_name["event"]["level"]) == ("EVENT", "DEBUG")


@call("create_score")
def _():
    assert (by_score["direct"]["value"], by_score["direct"]["comment"]) == (3.0, "c")
    found = eventually(lambda: server.get("/api/public/v2/scores", sessionId=session)["data"])
    assert [each["name"] for each in found] == ["of the session"]


@call("score_current_trace, score_current_span")
def _():
    assert by_score["trace score"]["observationId"] is None
    assert by_score["span score"]["observationId"] == span_id


@call("observation.score, observation.score_trace")
def _():
    assert by_score["observation score"]["stringValue"] == "good"
    assert by_score["from span"]["value"] == 0.25


@call("LangfuseMedia, resolve_media_references")
def _():
    sent = by_name["span"]["metadata"]["of"]
    assert sent["image"].startswith("@@@langfuseMedia:")
    resolved = langfuse.resolve_media_references(obj=sent, resolve_with="base64_data_uri")
    assert resolved["image"].startswith("data:image/png;base64,")


@call("@observe")
def _():
    @observe(as_type="generation")
    def inner():
        return langfuse.get_current_trace_id()

    @observe()
    def outer():
        return inner()

    observed = outer()
    langfuse.flush()
    found = server.trace(observed, observations=2, scores=0)
    assert {each["type"] for each in found["observations"]} == {"SPAN", "GENERATION"}


@call("create_prompt, get_prompt")
def _():
    prompt_name = f"{prefix}/greeting"
    langfuse.create_prompt(name=prompt_name, prompt="Hi {{who}}", labels=["production"])
    prompt = langfuse.get_prompt(prompt_name)
    assert (prompt.version, prompt.compile(who="Ada")) == (1, "Hi Ada")
    fallback = langfuse.get_prompt(f"{prefix}/absent", fallback="none", max_retries=0)
    assert fallback.prompt == "none"


@call("update_prompt")
def _():
    prompt_name = f"{prefix}/greeting"
    langfuse.update_prompt(name=prompt_name, version=1, new_labels=["staging"])
    assert langfuse.get_prompt(prompt_name, label="staging", cache_ttl_seconds=0).version == 1


dataset_name = f"{prefix}/set"


@call("create_dataset, create_dataset_item, get_dataset")
def _():
    langfuse.create_dataset(name=dataset_name, description="d")
    for number in range(3):
        langfuse.create_dataset_item(
            dataset_name=dataset_name,
            id=f"{prefix}-{number}",
            input={"n": number},
            expected_output=number,
            status="ARCHIVED" if number == 2 else "ACTIVE",
        )
    items = langfuse.get_dataset(dataset_name).items
    assert sorted(each.expected_output for each in items) == [0, 1]


def task(*, item, **_):
    return item["input"] if isinstance(item, dict) else item.input["n"]


def right(*, output, expected_output, **_):
    return sdk.Evaluation(name="right", value=float(output == expected_output))


def mean(**_):
    return sdk.Evaluation(name="mean", value=1.0)


@call("dataset.run_experiment")
def _():
    result = langfuse.get_dataset(dataset_name).run_experiment(
        name="e", run_name="run/1", task=task, evaluators=[right], run_evaluators=[mean]
    )
    langfuse.flush()
    path = f"/api/public/datasets/{dataset_name.replace('/', '%2F')}/runs/run%2F1"

    def complete():
        run = server.get(path)
        return run if len(run["datasetRunItems"]) == 2 else None

    run = eventually(complete)
    assert run["id"] == (result.dataset_run_id if major < 5 else result.experiment_id)
    traces = {each["traceId"] for each in run["datasetRunItems"]}
    assert traces == {each.trace_id for each in result.item_results}
    of_run = eventually(lambda: server.get("/api/public/v2/scores", datasetRunId=run["id"])["data"])
    assert [each["name"] for each in of_run] == ["mean"]


@call("run_experiment on local data")
def _():
    data = [{"input": "a", "expected_output": "a"}, {"input": "b", "expected_output": "x"}]
    run_name = f"{prefix} local"
    langfuse.run_experiment(name="e", run_name=run_name, data=data, task=task, evaluators=[right])
    langfuse.flush()

    def complete():
        found = server.get(
            "/api/public/experiment-items",
            fromStartTime="2026-01-01T00:00:00Z",
            experimentName=run_name,
            fields="io,scores",
        )["data"]
        return found if len(found) == 2 and all(each["scores"] for each in found) else None

    found = {each["input"]: each for each in eventually(complete)}
    assert found["a"]["scores"][0]["value"] == 1.0
    assert (found["b"]["output"], found["b"]["expectedOutput"]) == ("b", "x")


@call("get_dataset_run, get_dataset_runs", there=has(Langfuse, "get_dataset_runs"))
def _():
    runs = langfuse.get_dataset_runs(dataset_name=dataset_name).data
    assert [each.name for each in runs] == ["run/1"]
    run = langfuse.get_dataset_run(dataset_name=dataset_name, run_name="run/1")
    assert len(run.dataset_run_items) == 2


@call("delete_dataset_run", there=has(Langfuse, "delete_dataset_run"))
def _():
    langfuse.delete_dataset_run(dataset_name=dataset_name, run_name="run/1")
    assert langfuse.get_dataset_runs(dataset_name=dataset_name).data == []


@call("api.experiments.list, list_items", there=has(langfuse.api, "experiments"))
def _():
    since = datetime(2026, 1, 1, tzinfo=UTC)
    found = langfuse.api.experiments.list(
        from_start_time=since, name=f"{prefix} local", fields="core,metadata,scores"
    )
    assert [each.item_count for each in found.data] == [2]
    items = langfuse.api.experiments.list_items(
        from_start_time=since, experiment_id=found.data[0].id, fields="core,dataset,io,scores"
    )
    assert {each.output for each in items.data} == {"a", "b"}


@call("run_batched_evaluation")
def _():
    def mapper(*, item, **_):
        return sdk.EvaluatorInputs(input=item.input, output=item.output, expected_output=None)

    def judged(**_):
        return sdk.Evaluation(name="batched", value=1.0)

    column, value = ("name", name) if major == 3 else ("traceId", trace_id)
    condition = {"type": "string", "column": column, "operator": "=", "value": value}
    fields = {"fetch_batch_size": 10, "max_items": 10, "filter": json.dumps([condition])}
    if major < 5:
        fields["scope"] = "traces" if major == 3 else "observations"
    result = langfuse.run_batched_evaluation(mapper=mapper, evaluators=[judged], **fields)
    assert result.total_items_processed >= 1
    langfuse.flush()
    eventually(lambda: scores_named("batched"))


@call("auth_check, get_trace_url")
def _():
    assert langfuse.auth_check()
    assert trace_id in langfuse.get_trace_url(trace_id=trace_id)


def experiment():
    found = server.get("/api/public/v2/scores", name="mean")["data"]
    return next(each["datasetRunId"] for each in found if each["datasetRunId"])


def send_trace(id_):
    context = {"trace_id": id_, "parent_span_id": "a" * 16}
    langfuse.start_observation(name="to delete", trace_context=context).end()
    langfuse.flush()


def score_request(score):
    if major == 3:
        return types.CreateScoreRequest(**score)
    return [{"traceId": trace_id, "dataType": score["data_type"], **pair(score)}]


def pair(score):
    return {"name": score["name"], "value": score["value"]}


api_calls(
    langfuse.api,
    server,
    {
        "major": major,
        "prefix": prefix,
        "name": name,
        "trace": trace_id,
        "observation": generation_id,
        "observations": 5,
        "session": session,
        "scores": scores_named,
        "experiment": experiment,
        "send_trace": send_trace,
        "score_types": ("NUMERIC", "BOOLEAN", "CATEGORICAL", "TEXT", "CORRECTION"),
        "score_request": score_request,
        "comment_request": getattr(types, "CreateCommentRequest", None),
        "media_request": getattr(types, "GetMediaUploadUrlRequest", None),
        "patch_request": getattr(types, "PatchMediaBody", None),
    },
)
report()
