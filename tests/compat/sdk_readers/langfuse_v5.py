"""Read a trace with the client of langfuse 5.x, whose models are strict, and print it."""

import json
import sys

from langfuse import Langfuse

trace_id = sys.argv[1]
api = Langfuse().api
scores, cursor = [], None
while True:
    page = api.scores.get_many(
        trace_id=trace_id, fields="details,subject,annotation", limit=2, cursor=cursor
    )
    scores += page.data
    cursor = page.meta.cursor
    if cursor is None:
        break
assert {(each.subject.kind, each.subject.id) for each in scores} == {("trace", trace_id)}
(positive,) = api.scores.get_many(trace_id=trace_id, data_type="boolean", value="true").data
assert positive.name == "helpful"
fields = "core,basic,time,io,metadata,model,usage,prompt,metrics,trace_context"
observations = api.observations.get_many(trace_id=trace_id, fields=fields).data
found = {
    "scores": {each.data_type: each.value for each in scores},
    "observations": sorted(each.name for each in observations),
}
print(json.dumps(found))
