from __future__ import annotations

import threading
from collections.abc import Callable

import h5py
import msgspec
import numpy as np
import pytest
from example_snapshots import empty, example, with_messages
from PyQt5.QtCore import QObject, Qt, QTimer, pyqtSignal
from PyQt5.QtWidgets import QAbstractButton, QAction
from quiet_wire import QuietWire, SetClock

from backend.requests import AcknowledgeMessage, CancelJob, Reply, ResumeJob, RunRecipe, SelectRing
from backend.snapshot import Snapshot, VerdictState
from mento_gui.backend_link import BackendLink
from mento_gui.close_question import CloseChoice
from mento_gui.exception_report import ExceptionReport
from mento_gui.main_window import MainWindow
from widgets.help_panel import help_page


def deliver(window: MainWindow, link: BackendLink, wire: QuietWire, snapshot: Snapshot) -> None:
    wire.newest = snapshot
    link.poll()


def test_fits_a_small_screen(window: MainWindow, link, wire) -> None:
    deliver(window, link, wire, with_messages(example(VerdictState.DAMAGING)))
    hint = window.minimumSizeHint()
    assert hint.width() <= 1366 and hint.height() <= 700
    window.resize(1366, 700)
    assert (window.width(), window.height()) == (1366, 700)


@pytest.mark.parametrize("state", list(VerdictState))
@pytest.mark.parametrize("size", [(1366, 700), (1920, 1040)], ids=["small", "large"])
def test_every_state_at_both_sizes(make_window, link, wire, state: VerdictState, size) -> None:
    window = make_window(size=size)
    deliver(window, link, wire, example(state))
    picture = window.grab()
    assert not picture.isNull()
    assert window.page.verdict.state is state
    for view in window.page.views:
        assert view.width() >= view.minimumWidth() and view.height() >= view.minimumHeight()
        inside = window.rect().contains(view.mapTo(window, view.rect().bottomRight()))
        assert inside, view


def test_upper_and_lower_pictures_are_equally_high(window: MainWindow, link, wire) -> None:
    for state in VerdictState:
        deliver(window, link, wire, example(state))
        window.grab()
        assert abs(window.page.speckle.height() - window.page.g2.height()) <= 1


def test_no_snapshots_means_no_data_everywhere_within_three_seconds(
    window: MainWindow, link: BackendLink, wire: QuietWire, clock: SetClock
) -> None:
    deliver(window, link, wire, example(VerdictState.GOOD))
    assert window.page.verdict.state is VerdictState.GOOD
    for _ in range(30):
        clock.advance(0.1)
        link.poll()
    assert window.page.verdict.state is VerdictState.NO_DATA
    assert window.big_verdict.state is VerdictState.NO_DATA
    assert all(view.stale_words.startswith("NO DATA") for view in window.page.views)
    assert "last heard of" in window.page.facts.name.text()
    assert "latex_00042: NO DATA" in window.windowTitle()


def test_pictures_come_back_after_silence(window, link, wire, clock: SetClock) -> None:
    deliver(window, link, wire, example())
    clock.advance(5)
    link.poll()
    deliver(window, link, wire, example(frames=2700))
    assert window.page.verdict.state is VerdictState.GOOD
    assert all(view.stale_words == "" for view in window.page.views)


def test_a_silence_before_the_first_snapshot_is_no_data(window, link, clock: SetClock) -> None:
    window.show_waiting("The backend is starting.")
    clock.advance(3)
    link.poll()
    assert window.page.verdict.state is VerdictState.NO_DATA
    assert {view.empty.text() for view in window.page.views} == {"The backend is starting."}
    assert all(view.is_empty for view in window.page.views)


def test_no_data_of_the_backend_dims_the_pictures_too(window, link, wire) -> None:
    deliver(window, link, wire, example(VerdictState.NO_DATA))
    assert all("NO DATA" in view.stale_words for view in window.page.views)


def test_a_ring_is_followed_in_all_pictures_and_asked_for(window, link, wire) -> None:
    deliver(window, link, wire, example())
    window.page.speckle.ring_selected.emit(7)
    assert wire.sent == [SelectRing(ring=7)]
    assert {view.selected_ring for view in window.page.views} == {7}
    window.clear_or_leave()
    assert {view.selected_ring for view in window.page.views} == {None}


def test_pause_holds_the_pictures_but_not_the_verdict(window, link, wire, clock) -> None:
    deliver(window, link, wire, example())
    window.toggle_pause()
    assert window.pause_band.isVisible()
    deliver(window, link, wire, example(VerdictState.WATCH, frames=3000))
    assert window.page.verdict.state is VerdictState.WATCH
    assert window.page.g2.snapshot.sequence == 2600
    window.toggle_pause()
    assert window.page.g2.snapshot.sequence == 3000


def test_a_new_alarm_ends_the_pause(window, link, wire) -> None:
    deliver(window, link, wire, example())
    window.toggle_pause()
    deliver(window, link, wire, example(VerdictState.DAMAGING, frames=3000))
    assert not window.pause_band.is_paused
    assert window.page.g2.snapshot.sequence == 3000


def test_a_pause_ends_by_itself_after_five_minutes(window, link, wire, clock: SetClock) -> None:
    deliver(window, link, wire, example())
    window.toggle_pause()
    clock.advance(42)
    window.pause_band.refresh()
    assert "00:42" in window.pause_band.text()
    clock.advance(260)
    window.pause_band.refresh()
    assert not window.pause_band.is_paused


def test_keys(qtbot, window: MainWindow, link, wire) -> None:
    deliver(window, link, wire, example())
    before = window.theme.name
    qtbot.keyClick(window, Qt.Key_T)
    assert window.theme.name != before
    qtbot.keyClick(window, Qt.Key_Space)
    assert window.pause_band.is_paused
    qtbot.keyClick(window, Qt.Key_F11)
    assert window.pages.currentWidget() is window.big_verdict
    qtbot.keyClick(window, Qt.Key_Escape)
    assert window.pages.currentWidget() is window.page
    qtbot.keyClick(window, Qt.Key_Question)
    assert "Acknowledge" in window._help.text.toPlainText()


def test_the_theme_is_remembered(make_window) -> None:
    first = make_window()
    first.toggle_theme()
    assert make_window().theme.name == first.theme.name == "light"


def test_messages_stay_until_acknowledged(qtbot, window: MainWindow, link, wire) -> None:
    deliver(window, link, wire, with_messages(example()))
    bar = window.message_bar
    assert bar.isVisible()
    assert bar.what.text() == "The file latex_00042_e4m_data_000017.h5 is cut short after 61 of 100 frames."
    assert "left out" in bar.more.text() and "Copy the file again" in bar.more.text()
    assert bar.count.text() == "1 more"
    assert not bar.details.isVisible()
    qtbot.mouseClick(bar.show_details, Qt.LeftButton)
    assert "truncated file" in bar.details.text() and bar.details.isVisible()
    deliver(window, link, wire, with_messages(example()))
    assert bar.details.isVisible()
    window.acknowledge()
    assert bar.what.text().startswith("Beam centre")
    qtbot.mouseClick(bar.acknowledge_button, Qt.LeftButton)
    assert not bar.isVisible()
    assert wire.sent == [AcknowledgeMessage(key="file:e4m_data_000017.h5"), AcknowledgeMessage(key="centre")]
    deliver(window, link, wire, with_messages(example()))  # the backend has not taken it in yet
    assert not bar.isVisible()
    assert window.page.messages.rows.rowCount() == 2


def test_a_refused_request_is_told(window: MainWindow, link, wire) -> None:
    deliver(window, link, wire, example())
    window.select_ring(2)
    wire.answers = [(1, Reply(ok=False, message="There is no ring 3.", try_this="Choose another ring."))]
    link.poll()
    assert window.message_bar.what.text() == "There is no ring 3."


class Trouble(QObject):
    """Fails in a slot or in a thread, as a bug would."""

    begin = pyqtSignal()

    def __init__(self) -> None:
        super().__init__()
        self.begin.connect(self.fail)

    def fail(self) -> None:
        raise ZeroDivisionError("lag of zero")


@pytest.fixture
def report(window: MainWindow) -> Callable[[], None]:
    report = ExceptionReport()
    report.reported.connect(window.show_message)
    report.install()
    yield report
    report.remove()


@pytest.mark.qt_no_exception_capture
def test_an_exception_in_a_slot_becomes_a_banner(qtbot, window: MainWindow, report, caplog) -> None:
    trouble = Trouble()
    QTimer.singleShot(0, trouble.begin.emit)
    qtbot.waitUntil(window.message_bar.isVisible, timeout=2000)
    assert "lag of zero" in window.message_bar.what.text()
    assert "ZeroDivisionError" in window.message_bar.details.text()
    assert "not affected" in window.message_bar.more.text()
    QTimer.singleShot(0, trouble.begin.emit)
    qtbot.waitUntil(lambda: "2 times" in window.message_bar.what.text(), timeout=2000)
    caplog.clear()


@pytest.mark.qt_no_exception_capture
def test_an_exception_in_a_thread_becomes_a_banner(qtbot, window: MainWindow, report, caplog) -> None:
    thread = threading.Thread(target=Trouble().fail)
    thread.start()
    thread.join()
    qtbot.waitUntil(window.message_bar.isVisible, timeout=2000)
    assert "lag of zero" in window.message_bar.what.text()
    caplog.clear()


def test_save_what_i_see(window: MainWindow, link, wire, tmp_path) -> None:
    snapshot = example(VerdictState.DAMAGING)
    deliver(window, link, wire, snapshot)
    window.save_what_i_see()
    pictures = list((tmp_path / "saved").glob("11019999_latex_00042_*.png"))
    assert len(pictures) == 1 and pictures[0].stat().st_size > 10_000
    with h5py.File(pictures[0].with_suffix(".h5")) as file:
        np.testing.assert_array_equal(file["g2/g2"], snapshot.g2.g2)
        np.testing.assert_array_equal(file["image/preview"], snapshot.image.preview)
        assert file["g2/fits/gamma_per_s"].shape == (20,)
        assert file["verdict"].attrs["state"] == "DAMAGING"
        assert file["trend/families/structure"].shape == snapshot.trend.frame.shape
        np.testing.assert_array_equal(file["two_time/ages/g2"], snapshot.two_time.ages.g2)
    assert "Saved" in window.message_bar.what.text()
    assert window.theme.name == "dark"


def test_a_folder_that_cannot_be_written_is_told(window: MainWindow, link, wire, tmp_path) -> None:
    (tmp_path / "saved").write_text("a file where the folder should be")
    deliver(window, link, wire, example())
    window.save_what_i_see()
    assert "could not be saved" in window.message_bar.what.text()


@pytest.mark.parametrize(
    ("owned", "running", "title", "answer", "expected"),
    [
        (False, True, "", CloseChoice.STOP, CloseChoice.KEEP),
        (True, True, "", CloseChoice.KEEP, CloseChoice.KEEP),
        (True, True, "", CloseChoice.STOP, CloseChoice.STOP),
        (True, True, "", CloseChoice.CANCEL, None),
        (True, True, "Demo", CloseChoice.KEEP, CloseChoice.STOP),
        (True, False, "", CloseChoice.KEEP, CloseChoice.STOP),
    ],
)
def test_closing(make_window, link, wire, owned, running, title, answer, expected) -> None:
    window = make_window(choice=answer, title=title)
    deliver(window, link, wire, example() if running else empty())
    window.owns_backend = owned
    choices = []
    window.closing.connect(choices.append)
    window.close()
    assert choices == ([] if expected is None else [expected])
    assert window.isVisible() == (expected is None)


def test_a_backend_that_comes_back_may_have_a_series_to_follow(make_window, link, wire) -> None:
    window = make_window(choice=CloseChoice.CANCEL)
    window.owns_backend = True
    preparing = msgspec.structs.replace(empty().backend, phase="preparing")
    deliver(window, link, wire, example())
    deliver(window, link, wire, msgspec.structs.replace(empty(), backend=preparing))
    window.close()
    assert window.isVisible()
    deliver(window, link, wire, empty())
    window.close()
    assert not window.isVisible()


def test_job_menu_sends_wishes(window: MainWindow, link, wire) -> None:
    deliver(window, link, wire, example())
    jobs = {window.page.jobs.rows.row_at(row).state: row for row in range(window.page.jobs.rows.rowCount())}
    menus = {state: entries(window.page.jobs, row) for state, row in jobs.items()}
    assert menus["queued"]["Cancel this job"].isEnabled()
    assert not menus["done"]["Cancel this job"].isEnabled()
    assert menus["done"]["Open the result's folder"].isEnabled()
    assert not menus["failed"]["Open the result's folder"].isEnabled()
    menus["running"]["Cancel this job"].trigger()
    menus["failed"]["Run the recipe once more"].trigger()
    assert (
        menus["submitted"]["Cancel this job"].isEnabled() and not menus["submitted"]["Try again"].isEnabled()
    )
    menus["parked"]["Try again"].trigger()
    assert wire.sent == [
        CancelJob(job_id="j-0001"),
        RunRecipe(series="latex_00039", recipe="xpcs"),
        ResumeJob(job_id="j-0007"),
    ]


def test_run_menu_sends_a_wish(window: MainWindow, link, wire) -> None:
    deliver(window, link, wire, example())
    (again,) = entries(window.page.runs, 0).values()
    again.trigger()
    assert wire.sent == [RunRecipe(series="latex_00042", recipe="xpcs")]


def test_tables_say_states_in_words(window: MainWindow, link, wire) -> None:
    deliver(window, link, wire, example(VerdictState.WATCH))
    jobs = table_words(window.page.jobs)
    assert [row[2] for row in jobs] == [
        "queued",
        "running 47 %",
        "failed",
        "done in 38 s",
        "cancelled",
        "unknown",
        "submitted",
        "parked",
    ]
    assert "mask has shape" in jobs[2][3]
    runs = table_words(window.page.runs)
    assert [row[0] for row in runs] == [f"latex_{number:05d}" for number in range(42, 36, -1)]
    assert runs[0][3] == "WATCH"
    assert runs[1][4].startswith("incomplete:")


def test_a_changed_row_alone_is_announced(qtbot, window: MainWindow, link, wire) -> None:
    deliver(window, link, wire, example())
    snapshot = example()
    runs = (*snapshot.runs[:-1], msgspec.structs.replace(snapshot.runs[-1], frames=2601))
    window.page.runs.selectRow(2)
    with qtbot.waitSignal(window.page.runs.rows.dataChanged) as caught:
        deliver(window, link, wire, msgspec.structs.replace(snapshot, runs=runs))
    assert (caught.args[0].row(), caught.args[1].row()) == (0, 0)
    assert window.page.runs.currentIndex().row() == 2


def test_every_control_has_a_tooltip(window: MainWindow, link, wire) -> None:
    deliver(window, link, wire, with_messages(example()))
    buttons = [button for button in window.findChildren(QAbstractButton) if button.isVisible()]
    named = [button for button in buttons if not button.objectName().startswith("qt_")]
    bare = [button.text() or button.objectName() for button in named if not button.toolTip()]
    tables = (window.page.runs, window.page.jobs, window.page.messages)
    corner = [child for table in tables for child in table.findChildren(QAbstractButton)]
    assert [text for text in bare if text not in {child.text() for child in corner}] == []
    actions = [action for action in window.findChildren(QAction) if action.text() and not action.menu()]
    assert actions and all(action.toolTip() != action.text().replace("&", "") for action in actions)


def test_every_panel_has_its_own_help_page(window: MainWindow) -> None:
    pages = {str(part.property("help")) for part in window.findChildren(QObject) if part.property("help")}
    assert pages >= {
        "verdict",
        "image",
        "g2",
        "intensity",
        "trend",
        "two_time",
        "tables",
        "messages",
        "facts",
    }
    overview = help_page("overview")
    for page in pages:
        assert help_page(page) != overview, page
    assert help_page("no such page") == overview


def test_title_names_series_verdict_and_beamtime(make_window, link, wire) -> None:
    window = make_window(title="Demo: aggregation")
    deliver(window, link, wire, example(VerdictState.DAMAGING))
    assert window.windowTitle() == "Demo: aggregation · latex_00042: DAMAGING · 11019999 · mento-gui"


def entries(table, row: int) -> dict[str, QAction]:
    menu = table.menu_for(table.rows.row_at(row))
    return {action.text(): action for action in menu.actions() if action.text()}


def table_words(table) -> list[list[str]]:
    model = table.rows
    return [
        [str(model.index(row, column).data()) for column in range(model.columnCount())]
        for row in range(model.rowCount())
    ]
