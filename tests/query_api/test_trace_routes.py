from clickhouse.rows import ObservationRow, TraceRow
from tests.query_api.conftest import NOON_US, PROJECT, Api


async def test_a_trace_reads_back_with_its_observations(api: Api) -> None:
    await api.insert(
        TraceRow(
            project_id=PROJECT, id="t1", start_us=NOON_US, end_us=NOON_US + 1_842_000, row_version=1,
            name="answer", user_id="u1", session_id="s1", tags=("a", "b"), release="1.0",
            metadata='{"region":"eu","n":{"x":1}}', root_observation_id="o1",
            observation_count=2, usage={"input": 10, "output": 5}, total_cost_pico=3_100_000_000,
        ),
        ObservationRow(
            project_id=PROJECT, trace_id="t1", id="o1", start_us=NOON_US, end_us=NOON_US + 1_842_000,
            row_version=1, type="SPAN", name="root", input='{"q":"what?"}', output="an answer",
        ),
        ObservationRow(
            project_id=PROJECT, trace_id="t1", id="o2", start_us=NOON_US + 412_000,
            end_us=NOON_US + 1_842_000, completion_start_us=NOON_US + 733_000, row_version=1,
            type="GENERATION", name="call", parent_id="o1", model="gpt-4o",
            model_parameters='{"temperature":0.2}', usage={"input": 10, "output": 5},
            cost_pico={"input": 2_500_000_000, "output": 600_000_000}, total_cost_pico=3_100_000_000,
            input='[{"role":"user","content":"hi"}]', output="hello", metadata='{"k":"v"}',
        ),
    )  # fmt: skip
    trace = (await api.client.get("/api/public/traces/t1")).json()
    print(trace)
    assert trace["input"] == {"q": "what?"}
    listed = (await api.client.get("/api/public/traces")).json()
    print(listed)
    r = await api.client.get("/api/public/v2/observations", params={"fields": "basic,io,model,usage,trace_context,metadata"})
    print(r.text)
    r = await api.client.get("/api/public/observations")
    print(r.text)
    assert r.status_code==200
    r = await api.client.get("/openapi.json")
    assert r.status_code==200, r.text
