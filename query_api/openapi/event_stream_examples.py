"""Define the example of the stream of events, for the OpenAPI document."""

from __future__ import annotations

from typing import Final

STREAM_EXAMPLE: Final = """\
id: w0.4812_t0.977_a0.3
event: window
data: {"window_start":"2026-11-21T12:00:00.000Z","window_end":"2026-11-21T12:00:10.000Z",\
"environment":"production","model":"gpt-4o","name":"answer","type":"GENERATION",\
"level":"DEFAULT","prompt_name":"","count":214,"errors":2,\
"tokens":{"input":81230,"output":10442},"cost_usd":"0.307495","unpriced":0}

event: missed
data: {"reason":"slow","events":37}

"""
