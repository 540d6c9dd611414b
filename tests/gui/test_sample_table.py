"""The series of a sample side by side in the window, and the dose of the spot under the verdict."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from example_sample import SAMPLE, UNKNOWN_SPOT, with_sample
from example_snapshots import empty, example

from backend.snapshot import Snapshot, VerdictState
from backend.snapshot_bytes import decode_snapshot, encode_snapshot
from mento_gui.main_window import MainWindow
from mento_gui.saved_view import save_view
from widgets.help_panel import help_page
from widgets.sample_table import SampleTable
from widgets.theme import LIGHT
from widgets.verdict_panel import VerdictPanel


@pytest.fixture
def table(qtbot, keep) -> SampleTable:
    table = SampleTable()
    keep(table)
    table.resize(700, 200)
    table.show()
    qtbot.waitExposed(table)
    return table


def _cells(table: SampleTable) -> list[list[str]]:
    model = table.table.rows
    return [
        [model.data(model.index(row, column)) for column in range(model.columnCount())]
        for row in range(model.rowCount())
    ]


def test_without_a_sample_it_says_what_will_be_here(table: SampleTable) -> None:
    table.show_snapshot(empty())
    assert "All series of one sample are compared here" in table.words.text()
    assert _cells(table) == []


def test_all_series_with_their_numbers(table: SampleTable) -> None:
    snapshot = decode_snapshot(encode_snapshot(with_sample(example())))
    table.show_snapshot(snapshot)
    assert table.words.text() == f"latex: {SAMPLE.words}"
    cells = _cells(table)
    assert cells[0] == ["latex_00042", "TOO EARLY", "127 Gy/s", "12 kGy", "–", "–"]
    assert cells[1] == ["latex_00041", "GOOD", "38.2 Gy/s", "8 kGy", "0.38 ± 0.01", "1.09 ± 0.01"]
    assert cells[4][3] == "–"
    hint = table.table.toolTip()
    assert "q = 0.0360 nm⁻¹" in hint and "dose rate^(0.004 ± 0.006)" in hint


def test_other_units_and_errors_that_are_not_known(table: SampleTable) -> None:
    newest = msgspec.structs.replace(
        SAMPLE.series[1], relaxation_rate_err=float("nan"), low_to_high_q=1234.5, low_to_high_q_err=0.1
    )
    part = msgspec.structs.replace(
        SAMPLE, series=(newest,), dose_rate_unit="of the full beam", structure=None
    )
    table.show_snapshot(msgspec.structs.replace(example(), sample=part))
    assert _cells(table) == [["latex_00041", "GOOD", "38.2 of the full beam", "8 kGy", "0.383", "1234 ± 123"]]
    assert "Low/high" not in table.table.toolTip()


def test_the_selected_series_stays_selected(table: SampleTable) -> None:
    table.show_snapshot(with_sample(example()))
    table.table.selectRow(2)
    more = (msgspec.structs.replace(SAMPLE.series[0], series="latex_00043"), *SAMPLE.series)
    table.show_snapshot(
        msgspec.structs.replace(example(), sample=msgspec.structs.replace(SAMPLE, series=more))
    )
    selected = table.table.selected_row()
    assert selected is not None and selected.series == "latex_00040"
    table.set_theme(LIGHT)


@pytest.fixture
def panel(qtbot, keep) -> VerdictPanel:
    panel = VerdictPanel()
    keep(panel)
    panel.resize(360, 500)
    panel.show()
    qtbot.waitExposed(panel)
    return panel


@pytest.mark.parametrize("spot", [None, UNKNOWN_SPOT])
def test_the_panel_says_the_dose_of_the_spot_or_why_not(panel: VerdictPanel, spot: object) -> None:
    snapshot: Snapshot = msgspec.structs.replace(example(VerdictState.GOOD), spot=spot)
    panel.show_snapshot(snapshot, panel._clock())
    assert panel.spot.isVisible() == (spot is not None)
    assert panel.spot.text() == ("" if spot is None else UNKNOWN_SPOT.words)


def test_an_old_dose_is_not_shown_as_new(panel: VerdictPanel) -> None:
    snapshot = with_sample(example(VerdictState.GOOD))
    panel.show_snapshot(snapshot, panel._clock())
    assert "8 kGy of it from 3 earlier series" in panel.spot.text()
    panel.show_snapshot(snapshot, panel._clock() - 10)
    assert panel.state is VerdictState.NO_DATA
    assert not panel.spot.isVisible()


def test_the_window_has_a_tab_with_help_and_saves_the_numbers(window: MainWindow, tmp_path: Path) -> None:
    import h5py

    snapshot = with_sample(example())
    window.page.show_verdict(snapshot, 0.0)
    tabs = window.page.sample.parentWidget().parentWidget()
    assert [tabs.tabText(place) for place in range(tabs.count())] == ["Series", "Same sample"]
    tabs.setCurrentWidget(window.page.sample)
    assert window.page.sample.isVisible()
    assert help_page(window.page.sample.property("help")).startswith("# Same sample")
    _, numbers = save_view(window.grab(), snapshot, tmp_path)
    with h5py.File(numbers) as file:
        assert file["spot"].attrs["dose"] == 12e3
        assert file["sample/motion"].attrs["power"] == 0.97
