"""Read a trace with the client of langfuse 4.x, whose models are strict, and print it."""

import json
import sys

from langfuse import Langfuse

trace_id = sys.argv[1]
api = Langfuse().api
trace = api.trace.get(trace_id)
listed = {each.id for each in api.trace.list(session_id=trace.session_id).data}
scores = api.scores.get_many(trace_id=trace_id).data
newer_scores = api.scores_v3.get_many_v3(trace_id=trace_id, fields="details,subject").data
one_score = api.scores.get_by_id(scores[0].id)
older_observations = api.legacy.observations_v1.get_many(trace_id=trace_id).data
one = api.legacy.observations_v1.get(older_observations[0].id)
fields = "core,basic,time,io,metadata,model,usage,prompt,metrics"
observations = api.observations.get_many(trace_id=trace_id, fields=fields).data
assert trace_id in listed
assert (one_score.id, one.id) == (scores[0].id, older_observations[0].id)
assert {each.id for each in older_observations} == {each.id for each in observations}
assert {each.id for each in newer_scores} == {each.id for each in scores}


def shown(score):
    return score.string_value if score.data_type == "TEXT" else score.value


found = {
    "in the trace": {each.data_type: shown(each) for each in trace.scores},
    "scores": {each.data_type: shown(each) for each in scores},
    "observations of the trace": sorted(each.name for each in trace.observations),
    "observations": sorted(each.name for each in observations),
}
print(json.dumps(found))
