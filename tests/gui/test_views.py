from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from example_snapshots import MISSING, empty, example, with_confirmed
from PyQt5.QtCore import QEvent, QPointF, Qt
from PyQt5.QtWidgets import QApplication

from backend.snapshot import Snapshot, VerdictState
from widgets.g2_view import MOST_RINGS, G2View
from widgets.intensity_view import IntensityView
from widgets.speckle_view import SpeckleView, count_ticks
from widgets.theme import DARK, LIGHT
from widgets.trend_view import TrendView
from widgets.two_time_view import TwoTimeView
from widgets.view_frame import ViewFrame

VIEWS = [SpeckleView, G2View, IntensityView, TrendView, TwoTimeView]


@pytest.fixture
def shown(qtbot, keep) -> Callable[[type[ViewFrame]], ViewFrame]:
    def show(kind: type[ViewFrame]) -> ViewFrame:
        view = kind()
        keep(view)
        view.set_theme(DARK)
        view.resize(520, 300)
        view.show()
        qtbot.waitExposed(view)
        return view

    return show


@pytest.fixture(params=VIEWS, ids=lambda view: view.__name__)
def view(request, shown) -> ViewFrame:
    return shown(request.param)


def without(snapshot: Snapshot, part: str, reason: str) -> Snapshot:
    return msgspec.structs.replace(snapshot, **{part: None}, missing={part: reason})


def test_a_missing_part_says_why(view: ViewFrame) -> None:
    view.show_snapshot(without(example(), view.part_name, MISSING[view.part_name]))
    assert view.is_empty
    assert view.empty.text() == MISSING[view.part_name]
    assert view.note.text() == ""


def test_a_missing_part_without_reason_says_what_is_awaited(view: ViewFrame) -> None:
    view.show_snapshot(msgspec.structs.replace(empty("Waiting for files."), missing={}))
    assert view.is_empty
    assert view.empty.text() == "Waiting for files."


@pytest.mark.parametrize(("rings", "frames"), [(2, 70), (20, 2600)], ids=["small", "full"])
@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_a_part_is_drawn(view: ViewFrame, rings: int, frames: int, theme) -> None:
    view.set_theme(theme)
    view.show_snapshot(example(rings=rings, frames=frames))
    assert not view.is_empty
    view.grab()
    view.select_ring(1)
    view.grab()


def test_a_part_without_one_finite_number_does_no_harm(view: ViewFrame) -> None:
    snapshot = example(VerdictState.DAMAGING)
    part = getattr(snapshot, view.part_name)
    unknown = {
        name: np.full_like(value, np.nan)
        for name in part.__struct_fields__
        if isinstance(value := getattr(part, name), np.ndarray)
        and value.dtype.kind == "f"
        and name not in ("level_counts", "ring_radii", "q_inv_nm", "lag_s", "fit_lag_s", "dose")
    }
    assert unknown or view.part_name == "image"
    view.show_snapshot(
        msgspec.structs.replace(snapshot, **{view.part_name: msgspec.structs.replace(part, **unknown)})
    )
    view.grab()
    assert not view.is_empty


def test_a_picture_gives_way_to_a_sentence_when_its_part_goes(view: ViewFrame) -> None:
    view.show_snapshot(example())
    view.show_snapshot(without(example(), view.part_name, "A new series has begun."))
    assert view.is_empty
    view.show_snapshot(example())
    assert not view.is_empty


def test_a_stale_picture_is_dimmed_and_says_so(view: ViewFrame) -> None:
    view.show_snapshot(example())
    bright = view.grab().toImage()
    view.set_stale("NO DATA · this picture is 4 s old")
    dim = view.grab().toImage()
    assert view.stale_words.startswith("NO DATA")
    assert bright != dim
    view.set_stale("")
    assert view.grab().toImage() == bright


def test_the_same_content_is_not_drawn_twice(view: ViewFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    draw = view.draw
    monkeypatch.setattr(view, "draw", lambda snapshot: (drawn.append(snapshot.sequence), draw(snapshot)))
    view.show_snapshot(example())
    view.show_snapshot(example())  # equal arrays, other objects: what a heartbeat brings
    assert len(drawn) == 1
    view.show_snapshot(example(frames=3000))
    assert len(drawn) == 2


def test_a_hidden_view_is_drawn_when_it_is_shown(
    qtbot, view: ViewFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    draw = view.draw
    monkeypatch.setattr(view, "draw", lambda snapshot: (drawn.append(snapshot.sequence), draw(snapshot)))
    view.hide()
    view.show_snapshot(example())
    view.show_snapshot(example(frames=3000))
    assert drawn == []
    view.show()
    assert drawn == [3000]


def scene_point(view: SpeckleView, x: float, y: float):
    return view.plot.mapFromScene(view.image.mapToScene(x, y))


def test_a_click_on_a_ring_selects_it(qtbot, shown) -> None:
    view = shown(SpeckleView)
    snapshot = example()
    view.show_snapshot(snapshot)
    view.grab()
    image = snapshot.image
    radius = float(image.ring_radii[4].mean())
    row, column = image.beam_center_yx
    point = scene_point(view, column + 0.5 + radius * 0.6, row + 0.5 - radius * 0.8)
    with qtbot.waitSignal(view.ring_selected, timeout=2000) as caught:
        qtbot.mouseClick(view.plot.viewport(), Qt.LeftButton, pos=point)
    assert caught.args == [4]


def test_the_cursor_reads_q_ring_and_counts(shown) -> None:
    view = shown(SpeckleView)
    snapshot = example(VerdictState.BAD_DATA)
    view.show_snapshot(snapshot)
    image = snapshot.image
    row, column = image.beam_center_yx
    assert "masked" in view.reading_at(column, row)
    saturated = np.argwhere(image.preview == 254)[0]
    assert "saturated" in view.reading_at(saturated[1] + 0.5, saturated[0] + 0.5)
    reading = view.reading_at(column + 0.5 + float(image.ring_radii[6].mean()), row + 0.5)
    assert "ring 7" in reading
    assert f"q {image.q_inv_nm[6]:.4f}"[:7] in reading
    assert view.reading_at(-5, 3) == ""


def test_masked_zero_and_saturated_have_their_own_colours(shown) -> None:
    view = shown(SpeckleView)
    table = view.image.lut
    special = {tuple(table[level]) for level in (0, 254, 255)}
    assert len(special) == 3
    assert not special & {tuple(row) for row in table[1:254]}


def test_colour_bar_ticks_stand_at_their_counts() -> None:
    counts = np.concatenate([[0.0], np.geomspace(0.01, 100.0, 253)])
    ticks = {words: place for place, words in count_ticks(counts)}
    assert set(ticks) == {"0", "0.01", "0.1", "1", "10", "100"}
    for words, place in ticks.items():
        if words != "0":
            assert np.isclose(np.interp(place * 253, np.arange(254), counts), float(words), rtol=0.02)


def test_the_image_keeps_its_aspect_and_is_seen_whole(shown) -> None:
    view = shown(SpeckleView)
    for detector in ("e4m", "e500", "e4m"):
        snapshot = example(detector=detector)
        view.show_snapshot(snapshot)
        view.grab()
        (x0, x1), (y0, y1) = view.plot.getViewBox().viewRange()
        rows, columns = snapshot.image.preview.shape
        assert x0 <= 1 and y0 <= 1 and x1 >= columns - 1 and y1 >= rows - 1
        pixel = view.plot.getViewBox().viewPixelSize()
        assert np.isclose(pixel[0], pixel[1], rtol=0.02)


def test_the_image_stays_whole_when_its_place_shrinks(shown, qtbot) -> None:
    """As when a message bar comes: with a locked aspect the edges would be cut off."""
    view = shown(SpeckleView)
    snapshot = example(detector="e500")
    view.show_snapshot(snapshot)
    rows, columns = snapshot.image.preview.shape
    for width, height in ((700, 300), (320, 500), (500, 240)):
        view.resize(width, height)
        qtbot.waitUntil(lambda size=(width, height): (view.width(), view.height()) == size)
        view.grab()
        (x0, x1), (y0, y1) = view.plot.getViewBox().viewRange()
        assert x0 <= 1 and y0 <= 1 and x1 >= columns - 1 and y1 >= rows - 1


def test_g2_shows_at_most_six_rings_with_the_followed_one(qtbot, shown) -> None:
    view = shown(G2View)
    snapshot = example()
    view.show_snapshot(snapshot)
    assert len(view.curves.shown_rings()) == MOST_RINGS
    assert snapshot.selected_ring in view.curves.shown_rings()
    view.select_ring(11)
    assert 11 in view.curves.shown_rings()
    assert len(view.curves.shown_rings()) <= MOST_RINGS
    qtbot.mouseClick(view.all_rings, Qt.LeftButton)
    assert view.curves.shown_rings() == list(range(20))


def test_g2_error_bars_stand_on_the_points_of_the_logarithmic_axis(shown) -> None:
    view = shown(G2View)
    snapshot = example(rings=2)
    view.show_snapshot(snapshot)
    bars = view.curves._errors.opts
    expected = np.tile(np.log10(snapshot.g2.lag_s), 2)
    np.testing.assert_allclose(bars["x"], expected)
    np.testing.assert_allclose(bars["height"], 2 * snapshot.g2.g2_err.ravel())


def test_g2_survives_rings_without_any_pair(shown) -> None:
    view = shown(G2View)
    snapshot = example()
    g2 = snapshot.g2.g2.copy()
    g2[:10] = np.nan
    part = msgspec.structs.replace(
        snapshot.g2, g2=g2, fits=(None,) * 20, fit_g2=np.full_like(snapshot.g2.fit_g2, np.nan)
    )
    view.show_snapshot(msgspec.structs.replace(snapshot, g2=part))
    view.grab()
    assert min(view.curves.shown_rings()) >= 10


@pytest.mark.parametrize("agreement", ["confirmed", "disputed"])
def test_badge_of_a_job_result(shown, agreement: str) -> None:
    view = shown(G2View)
    view.show_snapshot(example())
    assert view.badge.text() == "provisional"
    view.show_snapshot(with_confirmed(example(), agreement))
    assert view.badge.text() == agreement
    assert "j-0007" in view.badge.toolTip() and "The most of all rings: " in view.badge.toolTip()


def test_a_click_on_a_q_in_the_legend_follows_it(qtbot, shown) -> None:
    view = shown(G2View)
    view.show_snapshot(example())
    with qtbot.waitSignal(view.ring_selected) as caught:
        view.legend.linkActivated.emit("4")
    assert caught.args == [4]


def test_trend_marks_the_onset_over_frames_and_over_dose(qtbot, shown) -> None:
    view = shown(TrendView)
    snapshot = example(VerdictState.DAMAGING)
    view.show_snapshot(snapshot)
    assert view.onset[0].isVisible()
    assert view.onset[0].value() == snapshot.trend.onset_frame
    qtbot.mouseClick(view.over_dose, Qt.LeftButton)
    dose_per_frame = snapshot.trend.dose[0] / snapshot.trend.frame[0]
    assert view.onset[0].value() == pytest.approx(snapshot.trend.onset_frame * dose_per_frame)
    view.show_snapshot(example(VerdictState.GOOD))
    assert not view.onset[0].isVisible()


def test_two_time_axes_are_seconds(shown) -> None:
    view = shown(TwoTimeView)
    snapshot = example()
    view.show_snapshot(snapshot)
    part = snapshot.two_time
    assert view.image.boundingRect().width() == len(part.values)
    corner = view.image.mapToView(view.image.boundingRect().bottomRight())
    assert corner.x() == pytest.approx(part.bin_time_s * len(part.values))
    assert [words for _, words in view.bar.ticks] == ["1.000", "1.075", "1.150"]


def test_two_time_reads_the_value_under_the_cursor(shown) -> None:
    view = shown(TwoTimeView)
    snapshot = example()
    view.show_snapshot(snapshot)
    part = snapshot.two_time
    words = view.reading_at(10.5 * part.bin_time_s, 20.5 * part.bin_time_s)
    assert words.endswith(f"g2 {part.values[20, 10]:.4f}")
    assert view.reading_at(10.5 * part.bin_time_s, 10.5 * part.bin_time_s) == ""
    assert view.reading_at(-1.0, 2.0) == ""


def test_two_time_by_age_and_lag(qtbot, shown) -> None:
    view = shown(TwoTimeView)
    snapshot = example()
    view.show_snapshot(snapshot)
    part = snapshot.two_time
    qtbot.mouseClick(view.by_age, Qt.LeftButton)
    assert view.plot.getAxis("bottom").labelText == "age (s)"
    # The middle of the bin at column 10, row 20.
    point = view.image.mapToView(QPointF(10.5, 20.5))
    assert point.x() == pytest.approx(15.5 * part.bin_time_s)
    assert point.y() == pytest.approx(10 * part.bin_time_s)
    words = view.reading_at(point.x(), point.y())
    assert words.startswith("age") and words.endswith(f"g2 {part.values[20, 10]:.4f}")
    assert view.reading_at(0.1 * part.bin_time_s, 10 * part.bin_time_s) == ""
    qtbot.mouseClick(view.by_age, Qt.LeftButton)
    assert view.plot.getAxis("bottom").labelText == "t₁ (s)"
    assert view.image.mapToView(QPointF(10.5, 20.5)).y() == pytest.approx(20.5 * part.bin_time_s)


def test_two_time_shows_g2_at_a_few_ages(qtbot, shown) -> None:
    view = shown(TwoTimeView)
    snapshot = example(VerdictState.DAMAGING)
    view.show_snapshot(snapshot)
    cuts = snapshot.two_time.ages
    assert view.plot.isVisible() and not view.ages.isVisible()
    qtbot.mouseClick(view.cuts, Qt.LeftButton)
    assert view.ages.isVisible() and view.ages.legend.isVisible()
    assert not view.plot.isVisible() and not view.by_age.isVisible()
    assert len(view.ages.curves) == len(cuts.g2) == 5
    for curve, error, g2, g2_err in zip(
        view.ages.curves, view.ages.errors, cuts.g2, cuts.g2_err, strict=True
    ):
        log_lag, values = curve.getData()
        drawn = np.isin(np.log10(cuts.lag_s), log_lag)
        assert curve.isVisible() and drawn.sum() > 10
        np.testing.assert_array_equal(values, g2[drawn])
        np.testing.assert_array_equal(error.opts["height"], 2 * g2_err[drawn])
        # What is left out is not known or has an error that would hide the rest.
        assert np.all(~np.isfinite(g2_err[~drawn]) | (g2_err[~drawn] > 0.05))
    assert view.ages.legend.text().count("●") == 5
    assert view.ages.getAxis("bottom").labelText == "lag (s)"
    qtbot.mouseClick(view.cuts, Qt.LeftButton)
    assert view.plot.isVisible() and view.by_age.isVisible()


def test_without_cuts_the_map_stays(qtbot, shown) -> None:
    view = shown(TwoTimeView)
    snapshot = example()
    view.show_snapshot(snapshot)
    qtbot.mouseClick(view.cuts, Qt.LeftButton)
    part = msgspec.structs.replace(snapshot.two_time, ages=None)
    view.show_snapshot(msgspec.structs.replace(snapshot, two_time=part))
    assert view.plot.isVisible() and view.by_age.isVisible() and not view.cuts.isVisible()


def test_the_reading_stays_while_frames_come_in(qtbot, shown) -> None:
    view = shown(SpeckleView)
    view.show_snapshot(example())
    view.grab()
    image = example().image
    row, column = image.beam_center_yx
    qtbot.mouseMove(view.plot.viewport(), scene_point(view, column + 100, row - 100))
    qtbot.waitUntil(lambda: "ring" in view.note.text(), timeout=2000)
    view.show_snapshot(example(rings=19))
    assert "ring" in view.note.text()
    QApplication.sendEvent(view.plot.viewport(), QEvent(QEvent.Leave))
    assert view.note.text().startswith("mean of")


def test_intensity_ratio_shows_the_rise(shown) -> None:
    view = shown(IntensityView)
    view.show_snapshot(example(VerdictState.DAMAGING))
    _, ratio = view.change.getData()
    assert ratio[0] > 1.08
    assert abs(ratio[-20:].mean() - 1.0) < 0.02


def test_cormap_is_told_in_words_and_only_where_it_is_known(shown) -> None:
    view = shown(IntensityView)
    snapshot = example()
    view.show_snapshot(snapshot)
    assert not view.cormap.isVisible()
    known = msgspec.structs.replace(snapshot.intensity, cormap_p=0.31)
    view.show_snapshot(msgspec.structs.replace(snapshot, intensity=known))
    assert view.cormap.isVisible()
    assert view.cormap.text() == "CorMap against the first frames: p = 0.3, display only"


def test_zero_counts_do_not_break_the_logarithm(shown) -> None:
    view = shown(IntensityView)
    snapshot = example()
    now = snapshot.intensity.now.copy()
    now[::3] = 0.0
    view.show_snapshot(
        msgspec.structs.replace(snapshot, intensity=msgspec.structs.replace(snapshot.intensity, now=now))
    )
    view.grab()
    assert np.isfinite(view.now.getData()[1]).all()
