"""A program as people write them for langfuse 3.x; prints the id of its trace."""

from langfuse import Langfuse

langfuse = Langfuse(environment="default", release="2026.11")
assert langfuse.auth_check()
with langfuse.start_as_current_span(
    name="answer-question", input={"question": "Where is my invoice?"}
) as chain:
    trace_id = chain.trace_id
    langfuse.update_current_trace(
        name="support-chat",
        user_id="ada",
        session_id="session-1",
        tags=["beta", "alpha"],
        metadata={"plan": "pro"},
        input={"question": "Where is my invoice?"},
        output={"answer": "Under Billing."},
    )
    with langfuse.start_as_current_observation(
        name="search", as_type="retriever", input="invoice", metadata={"index": "docs"}
    ) as search:
        search.update(output=["page 1", "page 2"])
    with langfuse.start_as_current_generation(
        name="write-answer",
        model="gpt-4o-mini",
        model_parameters={"temperature": 0.2},
        input=[{"role": "user", "content": "Where is my invoice?"}],
    ) as generation:
        generation.update(output="Under Billing.", usage_details={"input": 1200, "output": 300})
    with langfuse.start_as_current_generation(
        name="rerank", model="in-house-reranker", input="x"
    ) as priced:
        priced.update(
            output="y",
            usage_details={"input": 10, "output": 5},
            cost_details={"input": 0.001, "output": 0.002, "total": 0.003},
        )
    with langfuse.start_as_current_observation(name="send-mail", as_type="tool") as failing:
        failing.update(level="ERROR", status_message="mailbox full")
    chain.update(output="Under Billing.")
    chain.score_trace(name="helpful", value=1, data_type="BOOLEAN", comment="thanks")
langfuse.flush()
print(trace_id)
