"""The main window: shows the newest snapshot, passes wishes on, and never lets an old picture look new."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from PyQt5.QtCore import QSettings, Qt, pyqtSignal
from PyQt5.QtGui import QCloseEvent, QCursor
from PyQt5.QtWidgets import QApplication, QMainWindow, QStackedWidget, QVBoxLayout, QWidget

from backend.errors import FeedbackError
from backend.requests import AcknowledgeMessage, AnyRequest, InspectJob, Reply, SelectRing, TakeSettings
from backend.snapshot import Message, Snapshot, VerdictState
from mento_gui.backend_link import BackendLink
from mento_gui.close_question import CloseChoice, ask_about_backend
from mento_gui.exception_report import message_of
from mento_gui.saved_view import save_view
from mento_gui.settings_window import SettingsWindow
from mento_gui.view_pause import PauseBand
from mento_gui.watch_page import WatchPage
from mento_gui.window_actions import ActionPlan, add_actions
from mento_gui.window_messages import WindowMessages
from widgets.help_panel import HelpPanel
from widgets.message_bar import MessageBar
from widgets.quantity_words import clock_words, duration_words
from widgets.state_style import state_style
from widgets.theme import LIGHT, Theme, apply_theme, other_theme, theme_named
from widgets.verdict_panel import VerdictPanel

MINIMUM_SIZE = (1024, 640)


class MainWindow(QMainWindow):
    """One window for one backend.

    ``closing`` says what shall happen to the backend when the window goes; ``approval_wanted`` that a person wants to
    be asked about the host key of the cluster.
    """

    closing = pyqtSignal(object)
    approval_wanted = pyqtSignal()

    def __init__(
        self,
        link: BackendLink,
        *,
        preferences: QSettings,
        save_folder: Path,
        settings_file: Path | None = None,
        demo_title: str = "",
        ask_close: Callable[[QWidget], CloseChoice] = ask_about_backend,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._link = link
        self._preferences = preferences
        self._save_folder = save_folder
        self._demo_title = demo_title
        self._ask_close = ask_close
        self.owns_backend = False
        self.newest: Snapshot | None = None
        self._series_runs = False
        self.selected_ring: int | None = None
        self._window_messages = WindowMessages()
        self.page = WatchPage(clock=clock)
        self.big_verdict = VerdictPanel(big=True, clock=clock)
        self.message_bar = MessageBar()
        self.pause_band = PauseBand(clock=clock)
        self._help = HelpPanel(self)
        self.settings = SettingsWindow(self, settings_file, self.show_help)
        self._state_before: Qt.WindowStates = self.windowState()
        self._build()
        self._connect()
        self.theme = theme_named(str(preferences.value("theme", "dark")))
        self.set_theme(self.theme)
        self._name_window()
        # No button looks chosen before the person has chosen one.
        self.setFocus()

    def show_snapshot(self, snapshot: Snapshot, arrived_at: float) -> None:
        """Show ``snapshot``, which arrived at ``arrived_at``; paused pictures stay unless there is a new alarm."""
        before = self.newest
        self.newest = snapshot
        # A backend that is getting ready has not looked for series yet: one that ran before may still run.
        if snapshot.series is not None or snapshot.backend.phase != "preparing":
            self._series_runs = snapshot.series is not None and snapshot.series.status == "running"
        for panel in (self.page, self.big_verdict):
            show = panel.show_verdict if isinstance(panel, WatchPage) else panel.show_snapshot
            show(snapshot, arrived_at)
        if self.pause_band.is_paused and _is_new_alarm(before, snapshot):
            self.pause_band.resume()
        if not self.pause_band.is_paused:
            self.page.show_pictures(snapshot)
        self.page.set_stale(_stale_words(snapshot))
        self.settings.follow(snapshot)
        self._window_messages.solve("window:silence")
        self._show_messages()
        self._name_window()

    def show_lost(self, age_s: float) -> None:
        """The backend is silent: dim all pictures and say NO DATA."""
        self.pause_band.resume()
        self.page.verdict.refresh()
        self.big_verdict.refresh()
        # Before the first snapshot there is no picture that could mislead, only a sentence that says what is awaited.
        if self.newest is not None:
            self.page.set_stale(f"NO DATA · this picture is {duration_words(age_s)} old")
            self._name_window(VerdictState.NO_DATA)

    def show_error(self, error: FeedbackError) -> None:
        """Show an error as a banner."""
        self.show_message(message_of(error))

    def show_message(self, message: Message) -> None:
        """Show a message of the window itself as a banner."""
        self._window_messages.add(message)
        self._show_messages()

    def show_waiting(self, sentence: str) -> None:
        """Say what is awaited while nothing has arrived."""
        self.page.show_waiting(sentence)
        self.big_verdict.set_waiting(sentence)

    def select_ring(self, ring: int) -> None:
        """Follow this ring in all pictures and ask the backend for its two-time map."""
        self.selected_ring = ring
        self.page.select_ring(ring)
        self._link.send(SelectRing(ring=ring))

    def clear_or_leave(self) -> None:
        """Leave the big panel; else let go of the ring."""
        if self.pages.currentWidget() is self.big_verdict:
            self.toggle_big_panel()
            return
        self.selected_ring = None
        self.page.select_ring(None)

    def toggle_big_panel(self) -> None:
        """Show only the verdict on the whole screen, or everything again."""
        if self.pages.currentWidget() is self.big_verdict:
            self.pages.setCurrentWidget(self.page)
            self.setWindowState(self._state_before)
            return
        self._state_before = self.windowState()
        self.pages.setCurrentWidget(self.big_verdict)
        self.showFullScreen()

    def toggle_pause(self) -> None:
        """Stop the pictures, or let them go on."""
        if self.pause_band.is_paused:
            self.pause_band.resume()
        else:
            self.pause_band.pause()

    def toggle_theme(self) -> None:
        """Change between dark and light colours and remember it."""
        self.set_theme(other_theme(self.theme))
        self._preferences.setValue("theme", self.theme.name)

    def set_theme(self, theme: Theme) -> None:
        """Use the colours of ``theme``."""
        self.theme = theme
        application = QApplication.instance()
        assert isinstance(application, QApplication)
        apply_theme(application, theme)
        for part in (self.page, self.big_verdict, self.settings):
            part.set_theme(theme)

    def acknowledge(self) -> None:
        """The person has seen it: stop the pulse and take the banner away."""
        self.page.verdict.acknowledge()
        self.big_verdict.acknowledge()
        self.message_bar.acknowledge()

    def show_help(self, page: str = "") -> None:
        """Open the help page of the panel under the mouse, or of the focus, or the page named."""
        self._help.show_page(page or self._help_page_at_hand())

    def show_settings(self) -> None:
        """Open the settings of the damage verdict and of the dose."""
        self.settings.open(self.newest)

    def save_what_i_see(self) -> None:
        """Save picture (light, for print) and numbers, and say where."""
        if self.newest is None:
            return
        theme = self.theme
        self.set_theme(LIGHT)
        picture = self.grab()
        self.set_theme(theme)
        try:
            picture_file, numbers_file = save_view(picture, self.newest, self._save_folder)
        except FeedbackError as error:
            self.show_error(error)
            return
        words = f"Saved the picture to {picture_file} and the numbers to {numbers_file.name} beside it."
        self.show_message(Message(key="window:saved", level="info", what=words, at=time.time()))

    def close_without_question(self) -> None:
        """Close because the system says so: a running series keeps its backend, unless this is the demo."""
        self._ask_close = lambda _window: CloseChoice.KEEP
        self.close()

    def closeEvent(self, event: QCloseEvent | None) -> None:
        """Ask about a running series if the backend would end with the window."""
        assert event is not None
        choice = self._close_choice()
        if choice is CloseChoice.CANCEL:
            event.ignore()
            return
        self._preferences.setValue("geometry", self.saveGeometry())
        self._help.close()
        self.settings.close()
        self.closing.emit(choice)
        event.accept()

    def _close_choice(self) -> CloseChoice:
        if not self.owns_backend:
            return CloseChoice.KEEP
        ask = self._series_runs and not self._demo_title
        return self._ask_close(self) if ask else CloseChoice.STOP

    def _build(self) -> None:
        self.pages = QStackedWidget()
        self.pages.addWidget(self.page)
        self.pages.addWidget(self.big_verdict)
        centre = QWidget()
        layout = QVBoxLayout(centre)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.pause_band)
        layout.addWidget(self.message_bar)
        layout.addWidget(self.pages, 1)
        self.setCentralWidget(centre)
        self.setMinimumSize(*MINIMUM_SIZE)
        self.actions_by_text = add_actions(self, self._plans())
        geometry = self._preferences.value("geometry")
        if geometry is not None:
            self.restoreGeometry(geometry)
        elif (screen := self.screen()) is not None:
            # Nearly the whole screen, less the frame of the window and a bar of the desktop.
            room = screen.availableGeometry()
            self.resize(min(int(0.98 * room.width()), 1760), min(int(0.93 * room.height()), 1000))

    def _plans(self) -> list[ActionPlan]:
        return [
            ActionPlan(
                "&File", "Save what I see", "Ctrl+S", self.save_what_i_see, "Picture and numbers to a file."
            ),
            ActionPlan("&File", "Close", "Ctrl+Q", self.close, "Close the window."),
            *self._view_plans(),
            ActionPlan(
                "&Settings",
                "Damage verdict and dose…",
                "Ctrl+,",
                self.show_settings,
                "Tune limits, and see on stored series what they would change.",
            ),
            ActionPlan(
                "&Messages", "Acknowledge", "A", self.acknowledge, "I have seen the alarm and the message."
            ),
            ActionPlan(
                "&Messages",
                "Approve the cluster's host key",
                "",
                self.approval_wanted.emit,
                "Compare the fingerprint of a host that jobs wait for.",
            ),
            ActionPlan(
                "&Help", "How to read this panel", "F1", self.show_help, "Help on the panel under the mouse."
            ),
            ActionPlan(
                "&Help", "List of keys", "?", lambda: self.show_help("shortcuts"), "All keys of this window."
            ),
        ]

    def _view_plans(self) -> list[ActionPlan]:
        plan = partial(ActionPlan, "&View")
        return [
            plan("Big panel", "F11", self.toggle_big_panel, "Only the verdict, readable across the room."),
            plan(
                "Pause the pictures", "Space", self.toggle_pause, "The measurement and the verdict continue."
            ),
            plan(
                "Dark or light colours", "T", self.toggle_theme, "Dark for the hutch, light for the office."
            ),
            plan("Let go of the ring", "Esc", self.clear_or_leave, "No ring is highlighted any more."),
        ]

    def _connect(self) -> None:
        self._link.snapshot_changed.connect(self.show_snapshot)
        self._link.lost.connect(self.show_lost)
        self._link.failed.connect(self.show_error)
        self._link.replied.connect(self._show_reply)
        self.page.ring_selected.connect(self.select_ring)
        self.page.wish.connect(self._link.send)
        self.settings.saved.connect(
            lambda file, author: self._link.send(TakeSettings(file=str(file), author=author))
        )
        self.pause_band.resumed.connect(self._catch_up)
        self.message_bar.acknowledged.connect(self._acknowledge_message)

    def _catch_up(self) -> None:
        if self.newest is not None:
            self.page.show_pictures(self.newest)

    def _acknowledge_message(self, key: str) -> None:
        if not self._window_messages.acknowledge(key):
            self._link.send(AcknowledgeMessage(key=key))
        self._show_messages()

    def _show_messages(self) -> None:
        backend_messages = () if self.newest is None else self.newest.messages
        messages = self._window_messages.joined_with(backend_messages)
        self.message_bar.show_messages(messages)
        self.page.show_messages(messages)

    def _show_reply(self, request: AnyRequest, reply: Reply) -> None:
        if isinstance(request, InspectJob):
            self.page.jobs.window_of_job.show_reply(request, reply)
            return
        if reply.ok:
            return
        kind = type(request).__name__
        self.show_message(
            Message(
                key=f"window:reply:{kind}",
                level="warning",
                what=reply.message or "The backend refused the request.",
                still_works="The measurement is not affected.",
                try_this=reply.try_this,
                at=time.time(),
            )
        )

    def _help_page_at_hand(self) -> str:
        for widget in (QApplication.widgetAt(QCursor.pos()), QApplication.focusWidget()):
            while widget is not None:
                page = widget.property("help")
                if page:
                    return str(page)
                widget = widget.parentWidget()
        return "overview"

    def _name_window(self, state: VerdictState | None = None) -> None:
        snapshot = self.newest
        parts = [self._demo_title] if self._demo_title else []
        if snapshot is not None:
            if snapshot.series is not None:
                parts.append(f"{snapshot.series.name}: {state_style(state or snapshot.verdict.state).word}")
            parts.append(snapshot.backend.beamtime_id)
        self.setWindowTitle(" · ".join([*(part for part in parts if part), "mento-gui"]))


def _is_new_alarm(before: Snapshot | None, now: Snapshot) -> bool:
    changed = before is None or before.verdict.state is not now.verdict.state
    return changed and state_style(now.verdict.state).alarm


def _stale_words(snapshot: Snapshot) -> str:
    if snapshot.verdict.state is not VerdictState.NO_DATA:
        return ""
    series = snapshot.series
    if series is None or series.last_frame_at is None:
        return "NO DATA"
    return f"NO DATA · newest frame at {clock_words(series.last_frame_at)}"
