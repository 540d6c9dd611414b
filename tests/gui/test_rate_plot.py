"""Rates against q in the g2 view: points, lines, words, and what is said where there is no fit."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from example_snapshots import example
from PyQt5.QtCore import Qt

from backend.snapshot import RateLaw, Snapshot
from widgets.g2_view import G2View
from widgets.theme import DARK, LIGHT

LAW = RateLaw(
    frames=2600, rings=20, diffusion_nm2_per_s=1815.0, diffusion_err_nm2_per_s=12.0, diffusion_reduced_chi2=1.1,
    q_power=2.03, q_power_err=0.04, power_reduced_chi2=1.05, pivot_q_inv_nm=0.05, pivot_rate_per_s=4.54,
    pivot_rate_err_per_s=0.05, exponent=1.0, exponent_err=0.01,
)  # fmt: skip


def with_law(law: RateLaw | None) -> Snapshot:
    snapshot = example()
    return msgspec.structs.replace(snapshot, g2=msgspec.structs.replace(snapshot.g2, rate_law=law))


@pytest.fixture
def view(qtbot, keep) -> G2View:
    view = G2View()
    keep(view)
    view.set_theme(DARK)
    view.resize(520, 300)
    view.show()
    qtbot.waitExposed(view)
    return view


def test_a_button_shows_the_rates_and_gives_g2_back(qtbot, view: G2View) -> None:
    view.show_snapshot(with_law(LAW))
    assert view.plot.isVisible() and not view.rates.isVisible()
    qtbot.mouseClick(view.over_q, Qt.LeftButton)
    assert view.rates.isVisible() and not view.plot.isVisible()
    assert not view.all_rings.isVisible()
    qtbot.mouseClick(view.over_q, Qt.LeftButton)
    assert view.plot.isVisible() and view.all_rings.isVisible()


def test_points_and_lines_stand_where_the_numbers_say(qtbot, view: G2View) -> None:
    snapshot = with_law(LAW)
    view.over_q.setChecked(True)
    view.show_snapshot(snapshot)
    x, y = view.rates.points.getData()
    np.testing.assert_allclose(10**x, snapshot.g2.q_inv_nm)
    np.testing.assert_allclose(10**y, [fit.gamma_per_s for fit in snapshot.g2.fits])
    x, y = view.rates.diffusion_line.getData()
    np.testing.assert_allclose(10**y, LAW.diffusion_nm2_per_s * 10 ** (2 * x))
    x, y = view.rates.power_line.getData()
    np.testing.assert_allclose(10**y, LAW.pivot_rate_per_s * (10**x / LAW.pivot_q_inv_nm) ** LAW.q_power)
    bars = view.rates.errors.opts
    np.testing.assert_allclose(bars["height"], 2 * 0.03 / np.log(10))
    low, high = view.rates.getViewBox().viewRange()[1]
    assert low < min(np.log10([fit.gamma_per_s for fit in snapshot.g2.fits])) < high


def test_the_words_give_coefficient_and_power_with_errors(view: G2View) -> None:
    view.over_q.setChecked(True)
    view.show_snapshot(with_law(LAW))
    assert "D = 1815 ± 12.0 nm² s⁻¹" in view.note.text()
    assert "n = 2.03 ± 0.04" in view.note.text()


@pytest.mark.parametrize("fits", ["none", "two"])
def test_without_a_law_there_are_no_lines(view: G2View, fits: str) -> None:
    snapshot = with_law(None)
    kept = snapshot.g2.fits[:2] if fits == "two" else ()
    part = msgspec.structs.replace(snapshot.g2, fits=kept + (None,) * (20 - len(kept)))
    view.over_q.setChecked(True)
    view.show_snapshot(msgspec.structs.replace(snapshot, g2=part))
    view.grab()
    assert not view.rates.diffusion_line.isVisible() and not view.rates.power_line.isVisible()
    assert "three rings" in view.note.text()
    assert len(view.rates.points.points()) == len(kept)


def test_a_click_on_a_point_follows_its_ring(qtbot, view: G2View) -> None:
    snapshot = with_law(LAW)
    part = msgspec.structs.replace(snapshot.g2, fits=(None, *snapshot.g2.fits[1:]))
    view.over_q.setChecked(True)
    view.show_snapshot(msgspec.structs.replace(snapshot, g2=part))
    with qtbot.waitSignal(view.ring_selected) as said:
        view.rates.points.sigClicked.emit(view.rates.points, view.rates.points.points()[:1], None)
    assert said.args == [1]


def test_a_ring_without_a_fit_says_why(view: G2View) -> None:
    snapshot = example()
    ring = snapshot.selected_ring
    fits = tuple(None if number == ring else fit for number, fit in enumerate(snapshot.g2.fits))
    reasons = tuple("too slow to fit" if fit is None else "" for fit in fits)
    part = msgspec.structs.replace(snapshot.g2, fits=fits, fit_reasons=reasons)
    view.show_snapshot(msgspec.structs.replace(snapshot, g2=part))
    assert "too slow to fit" in view.note.text()


def test_both_themes_draw(view: G2View) -> None:
    view.over_q.setChecked(True)
    for theme in (DARK, LIGHT):
        view.set_theme(theme)
        view.show_snapshot(with_law(LAW))
        assert not view.grab().isNull()
