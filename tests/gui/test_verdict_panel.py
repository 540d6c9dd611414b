from __future__ import annotations

import itertools

import numpy as np
import pytest
from example_snapshots import empty, example
from PyQt5.QtGui import QImage
from quiet_wire import SetClock

from backend.snapshot import VerdictState
from backend.snapshot_verdict import Ground
from widgets.state_style import state_style
from widgets.theme import DARK, LIGHT
from widgets.verdict_panel import VerdictPanel

EXPECTED_LOOK = {
    VerdictState.GOOD: ("GOOD", "circle with a tick", DARK.good),
    VerdictState.WATCH: ("WATCH", "triangle with a mark", DARK.watch),
    VerdictState.DAMAGING: ("DAMAGING", "octagon with a bar", DARK.alarm),
    VerdictState.BAD_DATA: ("BAD DATA", "crossed square", DARK.alarm),
    VerdictState.TOO_EARLY: ("TOO EARLY", "hourglass", DARK.unknown),
    VerdictState.NO_DATA: ("NO DATA", "dashed ring", DARK.unknown),
    VerdictState.IDLE: ("IDLE", "pause bars", DARK.unknown),
}


@pytest.fixture
def panel(qtbot, keep, clock: SetClock) -> VerdictPanel:
    panel = VerdictPanel(clock=clock)
    keep(panel)
    panel.resize(310, 420)
    panel.show()
    return panel


def grey_levels(panel: VerdictPanel) -> np.ndarray:
    image = panel.headline.grab().toImage().convertToFormat(QImage.Format_Grayscale8)
    pixels = np.frombuffer(image.constBits().asstring(image.byteCount()), dtype=np.uint8)
    return pixels.reshape(image.height(), image.bytesPerLine())[:, : image.width()].astype(float)


@pytest.mark.parametrize("state", list(VerdictState))
def test_word_icon_and_colour_agree(panel: VerdictPanel, clock: SetClock, state: VerdictState) -> None:
    snapshot = example(state)
    panel.show_snapshot(snapshot, clock())
    headline = panel.headline
    assert (headline.word, headline.shape, headline.colour) == EXPECTED_LOOK[state]
    assert panel.state is state
    assert panel.why.text().replace("\u00a0", " ") == snapshot.verdict.why
    assert panel.do.text() == snapshot.verdict.do
    assert headline.is_pulsing == (state in (VerdictState.DAMAGING, VerdictState.BAD_DATA))


def test_every_state_has_its_own_shape() -> None:
    assert len({state_style(state).shape for state in VerdictState}) == len(VerdictState)


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_states_are_told_apart_without_colour(panel: VerdictPanel, clock: SetClock, theme) -> None:
    panel.set_theme(theme)
    pictures = {}
    for state in VerdictState:
        panel.show_snapshot(example(state), clock())
        panel.acknowledge()
        pictures[state] = grey_levels(panel)
    for one, other in itertools.combinations(VerdictState, 2):
        # Share of pixels that differ by more than a fifth of the grey scale.
        changed = np.mean(np.abs(pictures[one] - pictures[other]) > 50)
        assert changed > 0.03, (one, other)


def test_word_is_at_least_twelve_millimetres_high(panel: VerdictPanel) -> None:
    dots_per_mm = panel.screen().physicalDotsPerInch() / 25.4
    assert panel.headline.cap_height_px() >= 12 * dots_per_mm - 0.5


def test_silence_turns_to_no_data_within_three_seconds_by_its_own_clock(
    panel: VerdictPanel, clock: SetClock
) -> None:
    panel.show_snapshot(example(VerdictState.GOOD), clock())
    clock.advance(1.9)
    panel.refresh()
    assert panel.state is VerdictState.GOOD
    clock.advance(0.6)
    panel.refresh()
    assert panel.state is VerdictState.NO_DATA
    assert "GOOD" in panel.why.text()
    assert "2.5 s" in panel.why.text()


def test_own_timer_refreshes_the_panel(qtbot, panel: VerdictPanel, clock: SetClock) -> None:
    panel.show_snapshot(example(VerdictState.GOOD), clock())
    clock.advance(5.0)
    qtbot.waitUntil(lambda: panel.state is VerdictState.NO_DATA, timeout=2000)


def test_pulse_ends_after_ten_seconds(qtbot, panel: VerdictPanel, clock: SetClock) -> None:
    panel.show_snapshot(example(VerdictState.DAMAGING), clock())
    assert panel.headline.is_pulsing
    clock.advance(10.1)
    qtbot.waitUntil(lambda: not panel.headline.is_pulsing, timeout=2000)


def test_acknowledge_stops_the_pulse_and_keeps_the_state(panel: VerdictPanel, clock: SetClock) -> None:
    panel.show_snapshot(example(VerdictState.DAMAGING), clock())
    panel.acknowledge()
    panel.show_snapshot(example(VerdictState.DAMAGING), clock())
    assert not panel.headline.is_pulsing
    assert panel.state is VerdictState.DAMAGING


def test_at_most_three_further_reasons(panel: VerdictPanel, clock: SetClock) -> None:
    import msgspec

    snapshot = example(VerdictState.DAMAGING)
    verdict = msgspec.structs.replace(snapshot.verdict, also=("a", "b", "c", "d"))
    panel.show_snapshot(msgspec.structs.replace(snapshot, verdict=verdict), clock())
    assert panel.also.text().splitlines() == ["also: a", "also: b", "also: c"]


def test_without_any_snapshot_it_waits_in_words(panel: VerdictPanel) -> None:
    panel.set_waiting("The backend is starting.")
    assert panel.state is VerdictState.NO_DATA
    assert panel.why.text() == "The backend is starting."


def test_idle_says_what_to_do(panel: VerdictPanel, clock: SetClock) -> None:
    panel.show_snapshot(empty(), clock())
    assert panel.do.text()


def test_the_tool_tip_lists_what_the_verdict_rests_on(panel: VerdictPanel, clock: SetClock) -> None:
    import msgspec

    snapshot = example(VerdictState.DAMAGING)
    grounds = (
        Ground(
            family="structure",
            channel="low q against high q",
            log10_evidence=9.24,
            log10_alarm=4.08,
            effect_percent=11.5,
            effect_err_percent=0.9,
            tolerance_percent=5.0,
            rings=(1, 2, 3, 7),
            frames=(320, 369),
            reference_frames=(0, 119),
        ),
    )
    verdict = msgspec.structs.replace(snapshot.verdict, grounds=grounds)
    panel.show_snapshot(msgspec.structs.replace(snapshot, verdict=verdict), clock())
    tip = panel.toolTip()
    for words in (
        "structure: low q against high q",
        "+11.5 ± 0.9 % of 5 %",
        "evidence 10^9.2, alarm at 10^4.1",
        "rings 1 to 3, 7",
        "frames 320 to 369 against 0 to 119",
    ):
        assert words in tip
    panel.show_snapshot(empty(), clock())
    assert "evidence" not in panel.toolTip()
