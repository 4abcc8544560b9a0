"""Make a dataset of traces, and run an experiment with two models on it; prints a report."""

import json
import os

from langfuse import Evaluation, Langfuse
from langfuse.openai import OpenAI

ANSWERS = {
    "Where is my invoice?": "Under Billing.",
    "How do I cancel?": "Under Plan.",
    "Who are you?": "The assistant.",
}

langfuse = Langfuse()
client = OpenAI(base_url=os.environ["PROVIDER_URL"], api_key="k")
dataset_name = "support/from traces"
langfuse.create_dataset(name=dataset_name)
sources = []
for question, expected in ANSWERS.items():
    with langfuse.start_as_current_observation(name="chat", input=question) as root:
        root.update(output="?")
    sources.append(root.trace_id)
    langfuse.create_dataset_item(
        dataset_name=dataset_name, input=question, expected_output=expected,
        source_trace_id=root.trace_id,
    )  # fmt: skip


def answered_by(model: str):
    def task(*, item, **_):
        answer = client.chat.completions.create(
            name="answer", model=model, messages=[{"role": "user", "content": item.input}]
        )
        return answer.choices[0].message.content

    return task


def correctness(*, output, expected_output, **_):
    return Evaluation(name="correctness", value=float(output == expected_output))


for model in ("gpt-4o-mini", "gpt-4o"):
    langfuse.get_dataset(dataset_name).run_experiment(
        name=model, run_name=model, task=answered_by(model), evaluators=[correctness]
    )
langfuse.flush()
print(json.dumps({"dataset": dataset_name, "sources": sources}))
