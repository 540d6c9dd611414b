"""The beam goes away and comes back while the backend watches: BAD DATA as long as it lasts, never damage."""

from __future__ import annotations

from pathlib import Path

import pytest
from program import Program
from recorded_detector import RecordedDetector, RecordedSeries

from backend.simulation.scenario import SCENARIOS
from backend.snapshot import Snapshot, VerdictState

pytestmark = pytest.mark.system

FRAMES = 240
SERIES_S = 30.0


def test_no_beam_is_bad_data_and_good_again_when_it_is_back(
    program: Program, raw: Path, beam_loss_recording: RecordedSeries
) -> None:
    (step,) = SCENARIOS["beam-loss"].flux_steps
    lost_from, back_at = round(step.start * FRAMES), round(step.end * FRAMES)
    program.start_backend()
    detector = RecordedDetector(raw, beam_loss_recording)
    detector.begin()
    states: list[tuple[int, VerdictState]] = []
    with program.listen() as listener:
        for reached in (lost_from, back_at, FRAMES):
            detector.write((reached - (states[-1][0] if states else 0)) // 10)
            snapshot = listener.until(
                lambda seen, frames=reached: _frames(seen) == frames, SERIES_S, f"{reached} frames"
            )
            states.append((reached, snapshot.verdict.state))
            if snapshot.verdict.state is VerdictState.BAD_DATA:
                assert "beam" in snapshot.verdict.why and "%" in snapshot.verdict.why
                assert "shutter" in snapshot.verdict.do
        detector.finish()
        over = listener.until(
            lambda seen: bool(seen.runs) and seen.runs[0].status == "complete", SERIES_S, "the end"
        )
    assert [state for _, state in states] == [VerdictState.GOOD, VerdictState.BAD_DATA, VerdictState.GOOD]
    assert over.runs[0].verdict is VerdictState.GOOD


def _frames(snapshot: Snapshot) -> int:
    return 0 if snapshot.series is None else snapshot.series.frames
