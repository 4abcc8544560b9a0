"""Trace a question that is answered with retrieval: ``python quickstart.py [HOST:PORT] [TOPIC]``.

Needs a Kafka broker with the events topic. ``tracemill up`` starts one, by default at
127.0.0.1:7709, and prints how to set its address, TRACEMILL_BROKER_USERNAME and
TRACEMILL_BROKER_PASSWORD. The example uses the project ``default``, which the first ``tracemill
up`` creates.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

from tracemill import Tracer, Usage

BROKER = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7709"
TOPIC = sys.argv[2] if len(sys.argv) > 2 else "tracemill.events"

tracer = Tracer("default", BROKER, topic=TOPIC, environment="quickstart")


@tracer.observe(type="RETRIEVER")
def retrieve(question: str) -> list[str]:
    return [f"A document about {question.removesuffix('?')}"]


@tracer.observe
def words(text: str) -> Iterator[str]:
    for word in text.split():
        time.sleep(0.001)
        yield word


def answer(question: str) -> str:
    with tracer.trace("question", user_id="user-1", session_id="session-1") as trace:
        documents = retrieve(question)
        with tracer.generation("answer", model="gpt-4o-mini", input=question) as generation:
            text = " ".join(words(f"From {len(documents)} document: it depends."))
            generation.update(output=text, usage=Usage(input=420, output=12, cache_read=1_024))
        trace.score("helpful", 1.0)
    return text


def main() -> int:
    print(answer("What is tracemill?"))
    delivered = tracer.close(timeout_s=10)
    print(tracer.stats)
    return 0 if delivered else 1


if __name__ == "__main__":
    sys.exit(main())
