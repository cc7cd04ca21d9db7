"""Times calls in turns with other processes; standard library only, as `fer` has its own."""

import json
import sys
import time
from collections.abc import Callable

_WARMUP = 50  # calls


def time_calls(call: Callable[[], object], seconds: float) -> list[float]:
    """Calls until the time is over; returns the milliseconds of each call."""
    took, end = [], time.perf_counter() + seconds
    while (started := time.perf_counter()) < end:
        call()
        took.append(1000 * (time.perf_counter() - started))
    return took


def answer(description: str, calls: dict[str, Callable[[], object]]) -> None:
    """Prints the description; then, for each line of seconds read, milliseconds by call as JSON."""
    for call in calls.values():
        for _ in range(_WARMUP):
            call()
    print(description, flush=True)
    for line in sys.stdin:
        took = {name: time_calls(call, float(line)) for name, call in calls.items()}
        print(json.dumps(took), flush=True)
