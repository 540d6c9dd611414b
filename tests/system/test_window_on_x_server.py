"""The real window of the real program on an X server: read by its title and its pixels, used by mouse and keys."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from program import START_S, Listener, Program, Started, program_in, wait_until
from x_window import Place, XWindow, changed_part, colours

from backend.publish.client import BackendClient
from backend.snapshot import Snapshot

pytestmark = pytest.mark.xvfb

# A warm machine needs less than two seconds; the rest is for a busy one.
FIRST_PAINT_LIMIT_S = 8.0
WHOLE = Place(0.0, 0.0, 1.0, 1.0)
PICTURES = Place(0.24, 0.03, 0.995, 0.81)
TREND_AND_G2 = Place(0.24, 0.50, 0.995, 0.80)
BELOW_MENU = Place(0.0, 0.035, 1.0, 0.075)
LOWER_TABLE = Place(0.66, 0.85, 0.99, 0.99)
MESSAGES_TAB = (0.745, 0.829)
JOBS_TAB = (0.684, 0.829)
SPECKLE = Place(0.25, 0.18, 0.40, 0.31)


class WindowedDemo:
    """``mento-gui demo`` in a window, and the wire of the backend behind it."""

    def __init__(self, program: Program, environment: dict[str, str]) -> None:
        arguments = ["--scenario", "stable", "--frames", "1600", "--speed", "2"]
        self.program = program
        self.process: Started = program.start("demo", *arguments, environment=environment | program.variables)
        self.window = XWindow(self.process.pid, START_S)
        self.painted_after_s = self.window.shown_after_s + wait_until(
            lambda: colours(self.window.picture()) > 20, START_S, "something is painted"
        )
        self.title_at_first = self.window.title
        self.window.take_known_size()
        (root,) = program.temporary.glob("mento-gui-demo-*")
        self.client = BackendClient(root)
        self.listener = Listener(self.client)

    def until(self, condition: Callable[[Snapshot], bool], what: str) -> Snapshot:
        """The first snapshot from now on for which ``condition`` holds."""
        return self.listener.until(condition, START_S, what)

    def until_frames(self, more: int) -> int:
        """Wait until the backend has seen ``more`` further frames; returns how many it has."""
        first = self.until(lambda seen: seen.series is not None, "a series").series
        assert first is not None
        last = self.until(
            lambda seen: seen.series is not None and seen.series.frames >= first.frames + more,
            f"{more} frames",
        ).series
        assert last is not None
        return last.frames


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WindowedDemo]:
    with program_in(tmp_path_factory.mktemp("p")) as program:
        demo = WindowedDemo(program, {**os.environ, "QT_QPA_PLATFORM": "xcb"})
        yield demo
        demo.client.close()


def test_it_is_painted_soon_and_the_verdict_stands_in_its_title(demo: WindowedDemo) -> None:
    sys.stdout.write(
        f"window on screen {demo.window.shown_after_s:.2f} s, painted {demo.painted_after_s:.2f} s after the start\n"
    )
    assert demo.painted_after_s < FIRST_PAINT_LIMIT_S
    assert demo.title_at_first.startswith("Demo: stable")
    demo.window.until_title("stable_00001: GOOD", START_S)
    assert "11000000" in demo.window.title


def test_the_pictures_are_drawn(demo: WindowedDemo) -> None:
    picture = demo.window.picture()
    # The colour maps of the speckle image and the two-time map alone have hundreds.
    assert colours(PICTURES.cut(picture)) > 300
    assert PICTURES.cut(picture).std() > 10
    assert SPECKLE.cut(picture).mean() > 2 * np.median(picture)


def test_a_click_on_the_speckle_image_selects_its_ring_in_the_backend(demo: WindowedDemo) -> None:
    first = demo.until(lambda seen: seen.g2 is not None, "rings are there").selected_ring
    demo.window.click(*SPECKLE.centre)
    clicked = demo.until(lambda seen: seen.selected_ring != first, "another ring is selected")
    assert clicked.g2 is not None and 0 <= clicked.selected_ring < len(clicked.g2.q_inv_nm)
    assert clicked.two_time is None or clicked.two_time.ring == clicked.selected_ring
    before = demo.window.picture()
    demo.window.press("Escape")
    demo.window.until_changed(SPECKLE, before, "the ring is let go of", part=0.001)


def test_tabs_change_the_table(demo: WindowedDemo) -> None:
    jobs = demo.window.picture()
    demo.window.click(*MESSAGES_TAB)
    messages = demo.window.until_changed(LOWER_TABLE, jobs, "the messages are shown", part=0.005)
    demo.window.click(*JOBS_TAB)
    demo.window.until_changed(LOWER_TABLE, messages, "the jobs are shown again", part=0.005)


def test_space_stops_the_pictures_but_not_the_measurement(demo: WindowedDemo) -> None:
    running = demo.window.picture()
    demo.window.press("space")
    # The band pushes everything down; only then are two pictures compared.
    demo.window.until_changed(BELOW_MENU, running, "the band of the pause", part=0.3)
    demo.until_frames(20)
    paused = demo.window.picture()
    demo.until_frames(60)
    assert changed_part(TREND_AND_G2, paused, demo.window.picture()) == 0.0
    demo.window.press("space")
    demo.window.until_changed(TREND_AND_G2, paused, "the pictures go on", part=0.01)


def test_the_big_panel_comes_and_goes(demo: WindowedDemo) -> None:
    normal = demo.window.picture()
    demo.window.press("F11")
    big = demo.window.until_changed(WHOLE, normal, "the big panel", part=0.5)
    assert colours(big) < colours(normal)
    demo.window.press("Escape")
    wait_until(lambda: colours(demo.window.picture()) > 300, START_S, "the pictures are back")
    demo.window.take_known_size()


def test_the_theme_turns_light_and_stays_chosen(demo: WindowedDemo) -> None:
    dark = demo.window.picture()
    demo.window.press("t")
    wait_until(lambda: demo.window.picture().mean() > dark.mean() + 80, START_S, "light colours")
    (preferences,) = (demo.program.folder / "xdg_config_home").rglob("window.conf")
    wait_until(lambda: "theme=light" in preferences.read_text(), START_S, "the choice is stored")
    demo.window.press("t")
    wait_until(lambda: demo.window.picture().mean() < dark.mean() + 40, START_S, "dark colours")


def test_what_is_seen_is_saved_as_picture_and_numbers(demo: WindowedDemo) -> None:
    demo.window.press("ctrl+s")

    def saved() -> list[Path]:
        return sorted(path for path in demo.program.documents.rglob("*") if path.is_file())

    wait_until(lambda: len(saved()) >= 2, START_S, "two files are saved")
    assert {path.suffix for path in saved()} == {".png", ".h5"}
    assert all("stable_00001" in path.name for path in saved()), saved()
    wait_until(lambda: all(path.stat().st_size > 1000 for path in saved()), START_S, "both are written")


def test_closing_the_demo_ends_everything_and_leaves_nothing(demo: WindowedDemo) -> None:
    demo.window.press("ctrl+q")
    assert demo.process.wait(30.0) == 0
    wait_until(lambda: demo.program.living() == {}, 10.0, "no process is left")
    assert list(demo.program.temporary.iterdir()) == []
    assert "Traceback" not in demo.process.error, demo.process.error
