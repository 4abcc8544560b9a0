"""Uses prompts as people do with langfuse 2 to 5; prints what it read as JSON."""

import json
import logging
import sys
import uuid

from langfuse import Langfuse

logging.disable(logging.CRITICAL)  # of prompts that do not exist
langfuse = Langfuse()
IS_V2 = not hasattr(langfuse, "start_observation")
name = f"folder/sub folder/greet-{uuid.uuid4().hex}"
TEXT = 'Hello, {{target}}! {{ "key": "value" }} {custom} {{undefined}} 三月 $1'

first = langfuse.create_prompt(
    name=name,
    prompt=TEXT,
    labels=["production"],
    tags=["a", "b"],
    config={"temperature": 0.5},
    commit_message="first",
)
assert (first.version, first.prompt, first.config) == (1, TEXT, {"temperature": 0.5})
second = langfuse.create_prompt(name=name, prompt="second {{target}}", labels=["staging"])
assert (second.version, second.tags) == (2, ["a", "b"])

cached = langfuse.get_prompt(name)
assert cached.compile(target="world") == TEXT.replace("{{target}}", "world")
assert (cached.version, cached.labels, cached.commit_message) == (1, ["production"], "first")
assert langfuse.get_prompt(name, label="staging").version == 2
assert langfuse.get_prompt(name, label="latest").labels == ["staging", "latest"]
assert langfuse.get_prompt(name, version=1).prompt == TEXT

if hasattr(langfuse, "update_prompt"):
    updated = langfuse.update_prompt(name=name, version=2, new_labels=["production", "x"])
    assert sorted(updated.labels) == ["latest", "production", "staging", "x"]
    assert langfuse.get_prompt(name).version == 2, "the cache was invalidated"

chat = [{"role": "system", "content": "You are {{role}}"}]
if not IS_V2:
    chat += [{"type": "placeholder", "name": "history"}, {"role": "user", "content": "{{q}}"}]
langfuse.create_prompt(name=f"{name}/chat", prompt=chat, type="chat", labels=["production"])
read = langfuse.get_prompt(f"{name}/chat", type="chat")
compiled = read.compile(
    role="kind", q="?", **({} if IS_V2 else {"history": [{"role": "user", "content": "hi"}]})
)
contents = [each["content"] for each in compiled]
assert contents == (["You are kind"] if IS_V2 else ["You are kind", "hi", "?"])

langfuse.create_prompt(
    name=f"{name}/whole",
    prompt=f"@@@langfusePrompt:name={name}|label=staging@@@!",
    labels=["production"],
)
assert langfuse.get_prompt(f"{name}/whole").compile(target="x") == "second x!"

fallback = langfuse.get_prompt(f"{name}/absent", fallback="fall {{x}}")
assert (fallback.compile(x="back"), fallback.is_fallback) == ("fall back", True)
try:
    langfuse.get_prompt(f"{name}/absent")
except Exception as error:  # each version has its own
    if "not found" not in str(error).lower():
        raise
else:
    sys.exit("a prompt that does not exist was returned")

prompt = langfuse.get_prompt(name, version=1)
if IS_V2:
    trace = langfuse.trace(name="prompted")
    trace.generation(name="call", model="gpt-4o-mini", input="x", prompt=prompt).end(output="y")
    trace_id = trace.id
else:
    call = langfuse.start_observation(
        as_type="generation", name="call", model="gpt-4o-mini", input="x", prompt=prompt
    )
    call.update(output="y")
    call.end()
    trace_id = call.trace_id
langfuse.flush()
print(json.dumps({"trace": trace_id, "name": name}))
