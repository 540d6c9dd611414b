"""Stands in for ``mento-gui tune`` where a test needs to say when it goes on: prints lines, then waits to be ended."""

from __future__ import annotations

import json
import sys
import time

SERIES = "gel_00002"


def line(event: str, **parts: object) -> str:
    return json.dumps({"event": event, **parts})


def judged(state: str, why: str) -> dict[str, object]:
    return {
        "series": SERIES,
        "folder": "/raw",
        "frames": 400,
        "frame_time_s": 0.02,
        "state": state,
        "why": why,
    }


def first(before: int | None, after: int | None) -> dict[str, object]:
    frames = None if before is None or after is None else after - before
    seconds = None if frames is None else 0.02 * frames
    return {"before_frame": before, "after_frame": after, "frames": frames, "seconds": seconds}


LINES = (
    line("progress", doing=f"Replaying {SERIES} with the changed settings, 1 of 1", share=0.5),
    line(
        "series",
        before=judged("DAMAGING", "I(q) has changed."),
        after=judged("WATCH", "I(q) changes."),
        watch=first(209, 209),
        damaging=first(229, None),
        alarm_gained=False,
        alarm_lost=True,
    ),
    line(
        "false_alarms",
        series=SERIES,
        false_alarms={
            "series": 100, "told": 98, "watched": 3, "alarms": 1, "share": 0.01, "share_bounds": [0.00025, 0.0538],
            "per_100_h": 450.0, "per_100_h_bounds": [11.4, 2450.0], "exposure_s": 8.0, "pixels_used": 0.12,
        },
    ),
    line(
        "sum",
        sum={
            "series": 1, "verdicts_changed": 1, "alarms_gained": 0, "alarms_lost": 1, "alarms_earlier": 0,
            "alarms_later": 0,
        },
    ),
)  # fmt: skip


def main(how: str) -> int:
    shown = LINES if how != "stay" else LINES[:2]
    for text in shown:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    if how == "stay":
        time.sleep(600)
    if how == "fail":
        sys.stderr.write("Error: /raw/gel_00002 holds no series.\n")
        return 1
    sys.stderr.write("gel_00002: the frame time is odd.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
