"""A DSPy program of version 2.4 with its tracker for Langfuse; prints the answer."""

import os

import dspy
from dsp.trackers.langfuse_tracker import LangfuseTracker

session = os.environ["SESSION"]
tracker = LangfuseTracker(session_id=session, user_id="ada")
model = dspy.OpenAI(
    model="gpt-4o-mini",
    model_type="chat",
    api_base=os.environ["PROVIDER_URL"] + "/",
    api_key="k",
    session_id=session,  # DSPy passes these on to the client of OpenAI, which is that of Langfuse
    user_id="ada",
)
dspy.settings.configure(lm=model)
answer = dspy.Predict("question -> answer")(question="Where is my invoice?").answer
model.tracker_call(tracker, name=f"support-chat of {session}")
tracker.langfuse.flush()
print(answer)
