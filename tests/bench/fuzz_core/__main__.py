"""`python -m tests.bench.fuzz_core --events N --seed S`: fold N random events with the core.

Each installation processes a few thousand of them.
"""

from __future__ import annotations

import argparse
import time

from tests.bench.fuzz_core.campaign import EVENTS_PER_WORLD, campaign

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fuzz_core", description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.monotonic()
    done, largest, dead_letters = 0, 0, 0
    for seed in range(options.seed, options.seed + max(options.events // EVENTS_PER_WORLD, 1)):
        world = campaign(seed)
        done += EVENTS_PER_WORLD
        largest = max(largest, world.largest)
        dead_letters += len(world.dead_letters)
        if seed % 10 == 0 or done >= options.events:
            took_s = time.monotonic() - began
            print(  # it is a command
                f"{done} events, each folded twice, in {took_s:.0f} s: 0 failures, "
                f"largest record {largest:,} bytes, "
                f"{dead_letters} dead letters, limits reached {dict(world.reached)}",
                flush=True,
            )
