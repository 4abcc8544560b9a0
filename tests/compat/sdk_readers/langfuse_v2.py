"""Read a trace with the client of langfuse 2.x, whose models are strict, and print it."""

import json
import sys

from langfuse import Langfuse

trace_id = sys.argv[1]
langfuse = Langfuse()
api = langfuse.client
trace = langfuse.fetch_trace(trace_id).data
listed = {each.id for each in api.trace.list(session_id=trace.session_id).data}
ids = ",".join(each.id for each in trace.scores)
scores = api.score.get(score_ids=ids).data
one_score = api.score.get_by_id(scores[0].id)
observations = api.observations.get_many(trace_id=trace_id).data
one = api.observations.get(observations[0].id)
assert trace_id in listed
assert (one_score.name, one.id) == (scores[0].name, observations[0].id)
found = {
    "in the trace": {each.data_type: each.value for each in trace.scores},
    "scores": {each.data_type: each.value for each in scores},
    "observations of the trace": sorted(each.name for each in trace.observations),
    "observations": sorted(each.name for each in observations),
}
print(json.dumps(found))
