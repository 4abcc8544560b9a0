"""A program as people wrote them for langfuse 2.x; prints the id of its trace."""

from langfuse import Langfuse

langfuse = Langfuse(flush_interval=0.1)
assert langfuse.auth_check()
trace = langfuse.trace(
    name="support-chat",
    user_id="ada",
    session_id="session-1",
    tags=["beta", "alpha"],
    metadata={"plan": "pro"},
    input={"question": "Where is my invoice?"},
    release="2026.11",
)
chain = trace.span(name="answer-question", input={"question": "Where is my invoice?"})
search = chain.span(name="search", input="invoice", metadata={"index": "docs"})
search.end(output=["page 1", "page 2"])
generation = chain.generation(
    name="write-answer",
    model="gpt-4o-mini",
    model_parameters={"temperature": 0.2},
    input=[{"role": "user", "content": "Where is my invoice?"}],
)
generation.end(output="Under Billing.", usage_details={"input": 1200, "output": 300})
priced = chain.generation(name="rerank", model="in-house-reranker", input="x")
priced.end(
    output="y",
    usage_details={"input": 10, "output": 5},
    cost_details={"input": 0.001, "output": 0.002, "total": 0.003},
)
failing = chain.span(name="send-mail")
failing.end(level="ERROR", status_message="mailbox full")
chain.end(output="Under Billing.")
trace.update(output={"answer": "Under Billing."})
trace.score(name="helpful", value=1, data_type="BOOLEAN", comment="thanks")
langfuse.flush()
print(trace.id)
