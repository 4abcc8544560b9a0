"""Read a trace with the client of langfuse 3.x, whose models are strict, and print it."""

import json
import sys

from langfuse import Langfuse

trace_id = sys.argv[1]
api = Langfuse().api
trace = api.trace.get(trace_id)
listed = {each.id for each in api.trace.list(session_id=trace.session_id).data}
scores = api.score_v_2.get(trace_id=trace_id).data
one_score = api.score_v_2.get_by_id(scores[0].id)
observations = api.observations.get_many(trace_id=trace_id).data
one = api.observations.get(observations[0].id)
fields = "core,basic,time,io,metadata,model,usage,prompt,metrics"
newer_observations = api.observations_v_2.get_many(trace_id=trace_id, fields=fields).data
assert trace_id in listed
assert (one_score.id, one.id) == (scores[0].id, observations[0].id)
assert {each["id"] for each in newer_observations} == {each.id for each in observations}


def shown(score):
    return score.string_value if score.data_type == "TEXT" else score.value


found = {
    "in the trace": {each.data_type: shown(each) for each in trace.scores},
    "scores": {each.data_type: shown(each) for each in scores},
    "observations of the trace": sorted(each.name for each in trace.observations),
    "observations": sorted(each.name for each in observations),
}
print(json.dumps(found))
