from __future__ import annotations

import msgspec
from example_snapshots import example

from backend.snapshot import VerdictState
from widgets.facts_panel import FactsPanel


def test_a_plan_of_more_frames_than_a_progress_bar_can_count(qtbot, keep) -> None:
    snapshot = example(VerdictState.GOOD)
    assert snapshot.series is not None
    panel = FactsPanel()
    keep(panel)
    for frames, thousandths in ((0, 0), (250_000, 0), (10**12, 250), (5 * 10**12, 1000)):
        series = msgspec.structs.replace(snapshot.series, frames=frames, expected_frames=4 * 10**12)
        panel.show_snapshot(msgspec.structs.replace(snapshot, series=series))
        assert (panel.progress.value(), panel.progress.maximum()) == (thousandths, 1000)
