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


def test_the_beam_is_told_where_it_has_changed_or_a_monitor_knows_it(qtbot, keep) -> None:
    snapshot = example(VerdictState.GOOD)
    assert snapshot.series is not None
    panel = FactsPanel()
    keep(panel)
    for beam, by_monitor, end in (
        (1.0, False, "ph/px"),
        (0.1, False, "beam 10 %"),
        (0.98, True, "beam 98 % (monitor)"),
    ):
        series = msgspec.structs.replace(snapshot.series, beam=beam, beam_by_monitor=by_monitor)
        panel.show_snapshot(msgspec.structs.replace(snapshot, series=series))
        assert panel.values["Rate"].text().endswith(end)
