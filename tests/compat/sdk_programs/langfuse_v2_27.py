"""A call that takes longer than the interval at which langfuse 2.27 sends; prints its trace's id.

This version names the trace of an observation only when it creates it.
"""

import time

from langfuse import Langfuse

langfuse = Langfuse(flush_interval=0.1)
trace = langfuse.trace(name="support-chat", user_id="ada")
chain = trace.span(name="answer-question")
generation = chain.generation(name="write-answer", model="gpt-4o-mini", input="Where is it?")
langfuse.flush()
time.sleep(0.5)
generation.end(output="Under Billing.", usage={"input": 1200, "output": 300})
langfuse.flush()
time.sleep(0.5)
chain.end(output="Under Billing.")
langfuse.flush()
print(trace.id)
