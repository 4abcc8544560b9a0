"""Make the calls of version 2 of Langfuse's Python SDK, read their effects, and print states."""

import os
import uuid
from importlib.metadata import version

import langfuse.api as types
from api_calls import api_calls
from langfuse import Langfuse
from langfuse.decorators import langfuse_context, observe
from recording import Server, call, eventually, has, report

langfuse = Langfuse()
server = Server(
    os.environ["LANGFUSE_HOST"],
    os.environ["LANGFUSE_PUBLIC_KEY"],
    os.environ["LANGFUSE_SECRET_KEY"],
)
is_old = not has(Langfuse, "fetch_traces")  # 2.27 has only numeric scores
prefix = f"py-{version('langfuse')}-{uuid.uuid4().hex[:8]}"
name, session = f"{prefix} trace", f"{prefix} session"

trace = langfuse.trace(name=name, user_id="ada", session_id=session, tags=["a"], input="q")
trace.update(output="a", metadata={"plan": "pro"})
span = trace.span(name="span", input={"q": 1})
generation = span.generation(
    name="generation", model="gpt-4o-mini", model_parameters={"temperature": 0.2}, input="q"
)
generation.update(metadata={"k": "v"})
generation.end(output="a", usage={"input": 10, "output": 5, "unit": "TOKENS"})
event = trace.event(name="event", level="DEBUG")
span.update(level="WARNING", status_message="slow")
span.end(output="o")
trace.score(name="trace score", value=0.5)
generation.score(name="observation score", value=1, **({} if is_old else {"data_type": "BOOLEAN"}))
langfuse.score(trace_id=trace.id, name="direct", value=3.0 if is_old else "good")
langfuse.flush()
read = server.trace(trace.id, observations=3, scores=3)
by_name = {each["name"]: each for each in read["observations"]}
by_score = {each["name"]: each for each in read["scores"]}


@call("trace")
def _():
    assert (read["userId"], read["sessionId"], read["tags"]) == ("ada", session, ["a"])


@call("trace.update")
def _():
    found = eventually(lambda: server.get(f"/api/public/traces/{trace.id}"))
    assert (found["output"], found["metadata"]["plan"]) == ("a", "pro")


@call("span")
def _():
    assert by_name["span"]["input"] == {"q": 1}


@call("span.update, span.end")
def _():
    found = by_name["span"]
    assert (found["output"], found["level"], found["statusMessage"]) == ("o", "WARNING", "slow")


@call("generation")
def _():
    found = by_name["generation"]
    assert (found["parentObservationId"], found["model"]) == (span.id, "gpt-4o-mini")


@call("generation.update, generation.end")
def _():
    found = by_name["generation"]
    assert (found["output"], found["metadata"]["k"]) == ("a", "v")
    assert found["usage"]["total"] == 15
    assert found["calculatedTotalCost"] > 0


@call("event")
def _():
    assert (by_name["event"]["type"], by_name["event"]["level"]) == ("EVENT", "DEBUG")


@call("trace.score, span.score, score")
def _():
    assert by_score["trace score"]["value"] == 0.5
    assert by_score["observation score"]["observationId"] == generation.id
    assert by_score["direct"]["value" if is_old else "stringValue"] == (3.0 if is_old else "good")


@call("@observe, langfuse_context")
def _():
    @observe(as_type="generation")
    def inner():
        langfuse_context.update_current_observation(model="gpt-4o-mini")
        langfuse_context.score_current_trace(name="current", value=1)
        return "inner"

    @observe()
    def outer():
        langfuse_context.update_current_trace(user_id="grace")
        return inner(), langfuse_context.get_current_trace_id()

    _, trace_id = outer()
    langfuse_context.flush()
    found = server.trace(trace_id, observations=1, scores=1)
    assert (found["userId"], found["observations"][0]["model"]) == ("grace", "gpt-4o-mini")


@call("create_prompt, get_prompt")
def _():
    prompt_name = f"{prefix}/greeting"
    label = {"is_active": True} if is_old else {"labels": ["production"]}
    langfuse.create_prompt(name=prompt_name, prompt="Hi {{who}}", **label)
    prompt = langfuse.get_prompt(prompt_name)
    assert (prompt.version, prompt.compile(who="Ada")) == (1, "Hi Ada")
    if is_old:
        return
    fallback = langfuse.get_prompt(f"{prefix}/absent", fallback="none", max_retries=1)
    assert fallback.prompt == "none"


@call("update_prompt", there=has(Langfuse, "update_prompt"))
def _():
    prompt_name = f"{prefix}/greeting"
    langfuse.update_prompt(name=prompt_name, version=1, new_labels=["staging"])
    assert langfuse.get_prompt(prompt_name, label="staging", cache_ttl_seconds=0).version == 1


dataset_name = f"{prefix}/set"


@call("create_dataset, create_dataset_item, get_dataset")
def _():
    langfuse.create_dataset(name=dataset_name, description="d")
    for number in range(2):
        langfuse.create_dataset_item(
            dataset_name=dataset_name,
            id=f"{prefix}-{number}",
            input={"n": number},
            expected_output=number,
        )
    items = langfuse.get_dataset(dataset_name).items
    assert sorted(each.expected_output for each in items) == [0, 1]
    assert langfuse.get_dataset_item(f"{prefix}-0").input == {"n": 0}


@call("item.link, item.observe, get_dataset_run")
def _():
    for item in langfuse.get_dataset(dataset_name).items:
        item.link(trace, "run/1")
        if hasattr(item, "observe"):
            with item.observe(run_name="run/2") as trace_id:
                assert trace_id
    run = langfuse.get_dataset_run(dataset_name, "run/1")
    assert {each.trace_id for each in run.dataset_run_items} == {trace.id}


@call("get_dataset_runs", there=has(Langfuse, "get_dataset_runs"))
def _():
    assert {each.name for each in langfuse.get_dataset_runs(dataset_name).data} == {
        "run/1",
        "run/2",
    }


@call("fetch_trace, fetch_traces", there=has(Langfuse, "fetch_traces"))
def _():
    assert langfuse.fetch_trace(trace.id).data.id == trace.id
    assert [each.id for each in langfuse.fetch_traces(name=name).data] == [trace.id]


@call("fetch_observation, fetch_observations", there=has(Langfuse, "fetch_observations"))
def _():
    assert langfuse.fetch_observation(generation.id).data.model == "gpt-4o-mini"
    assert len(langfuse.fetch_observations(trace_id=trace.id).data) == 3


@call("fetch_sessions", there=has(Langfuse, "fetch_sessions"))
def _():
    assert session in {each.id for each in langfuse.fetch_sessions(limit=100).data}


@call("get_trace, get_observations, get_generations")
def _():
    assert langfuse.get_trace(trace.id).id == trace.id
    assert langfuse.get_observation(span.id).name == "span"
    assert "generation" in {each.name for each in langfuse.get_generations(limit=50).data}


@call("auth_check, get_trace_url")
def _():
    assert langfuse.auth_check()
    assert trace.id in trace.get_trace_url()


def scores_named(wanted):
    return server.get("/api/public/v2/scores", name=wanted, traceId=trace.id)["data"]


def send_trace(id_):
    langfuse.trace(id=id_, name="to delete")
    langfuse.flush()


api_calls(
    langfuse.client,
    server,
    {
        "major": 2,
        "prefix": prefix,
        "name": name,
        "trace": trace.id,
        "observation": generation.id,
        "observations": 3,
        "session": session,
        "scores": scores_named,
        "send_trace": send_trace,
        "score_types": ("NUMERIC",) if is_old else ("NUMERIC", "BOOLEAN", "CATEGORICAL"),
        "score_source": {"source": types.ScoreSource.API} if is_old else {},
        "score_request": lambda score: types.CreateScoreRequest(**score),
        "comment_request": getattr(types, "CreateCommentRequest", None),
        "media_request": getattr(types, "GetMediaUploadUrlRequest", None),
        "patch_request": getattr(types, "PatchMediaBody", None),
    },
)
report()
