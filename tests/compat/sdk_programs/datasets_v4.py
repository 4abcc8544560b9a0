"""Use datasets and an experiment with version 3, 4 or 5 of Langfuse's Python SDK; print a report.

The first argument is the number of items. The report has the time of each creation.
"""

import json
import sys
import time
from importlib.metadata import version
from statistics import median

import langfuse as sdk
from langfuse import Langfuse

count = int(sys.argv[1])
major = version("langfuse").split(".")[0]
langfuse = Langfuse()
name = f"folder/set of v{major}"
langfuse.create_dataset(name=name, description="d", metadata={"k": "v"})
took_s = []
for number in range(count):
    begun_s = time.perf_counter()
    langfuse.create_dataset_item(
        dataset_name=name, input={"n": number}, expected_output=number, id=f"v{major}-{number}"
    )
    took_s.append(time.perf_counter() - begun_s)
dataset = langfuse.get_dataset(name)


def task(*, item, **_):
    return item.input["n"]


def correct(*, output, expected_output, **_):
    return sdk.Evaluation(name="correct", value=float(output == expected_output))


items = dataset.items[:3]
if hasattr(dataset, "run_experiment"):
    dataset.items = items
    result = dataset.run_experiment(name="experiment", task=task, evaluators=[correct])
    outputs = sorted(each.output for each in result.item_results)
    run_id = result.dataset_run_id
else:
    outputs, run_id = [], ""
    for item in items:
        with item.run(run_name="experiment") as span:
            outputs.append(item.input["n"])
            span.score_trace(name="correct", value=1.0)
            run_id = span.trace_id
    outputs.sort()
langfuse.flush()
print(
    json.dumps(
        {
            "dataset": dataset.name,
            "inputs": [item.input["n"] for item in langfuse.get_dataset(name).items],
            "outputs": outputs,
            "run_id": run_id,
            "median_ms": median(took_s) * 1_000,
        }
    )
)
