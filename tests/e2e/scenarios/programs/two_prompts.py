"""An application that compares two prompts on its users; prints the version of each user.

The server assigns a label to each user. The version is linked to the calls, and users give
feedback.
"""

import json
import os

import httpx
from langfuse import Langfuse, propagate_attributes
from langfuse.openai import OpenAI

USERS = 40

langfuse = Langfuse()
client = OpenAI(base_url=os.environ["PROVIDER_URL"], api_key="k")
server = httpx.Client(
    base_url=os.environ["LANGFUSE_HOST"],
    auth=(os.environ["LANGFUSE_PUBLIC_KEY"], os.environ["LANGFUSE_SECRET_KEY"]),
    timeout=30,
)
labels = {}
for number in range(USERS):
    user = f"user-{number}"
    assigned = server.get("/v1/prompts/ab%2Fgreet/assign", params={"key": user}).json()
    labels[user] = assigned["label"]
    prompt = langfuse.get_prompt("ab/greet", label=assigned["label"])
    with (
        propagate_attributes(user_id=user, metadata=assigned["metadata"]),
        langfuse.start_as_current_observation(name="chat") as root,
    ):
        client.chat.completions.create(
            name="answer",
            model="gpt-4o" if assigned["label"] == "b" else "gpt-4o-mini",
            messages=[{"role": "user", "content": prompt.compile(question="Who are you?")}],
            langfuse_prompt=prompt,
        )
        liked = assigned["label"] == "b"
        root.score_trace(name="liked", value=float(liked), data_type="BOOLEAN")
langfuse.flush()
print(json.dumps(labels))
