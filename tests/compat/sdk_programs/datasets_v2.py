"""Use datasets with version 2 of Langfuse's Python SDK; print a report as JSON."""

import json

from langfuse import Langfuse

langfuse = Langfuse()
name = "folder/set of v2"
langfuse.create_dataset(name=name, description="d", metadata={"k": "v"})
for number in range(3):
    langfuse.create_dataset_item(
        dataset_name=name, input={"n": number}, expected_output=number, id=f"v2-{number}"
    )
dataset = langfuse.get_dataset(name)
for item in dataset.items:
    with item.observe(run_name="first", run_description="r", run_metadata={"m": 1}) as trace_id:
        langfuse.trace(id=trace_id, name="answer", output=item.input["n"])
    trace = langfuse.trace(name="linked")
    item.link(trace, "second")
langfuse.flush()
run = langfuse.get_dataset_run(name, "first")
runs = langfuse.get_dataset_runs(name)
print(
    json.dumps(
        {
            "dataset": dataset.name,
            "inputs": [item.input["n"] for item in dataset.items],
            "one": langfuse.get_dataset_item("v2-1").expected_output,
            "run": sorted(item.dataset_item_id for item in run.dataset_run_items),
            "runs": sorted(each.name for each in runs.data),
        }
    )
)
