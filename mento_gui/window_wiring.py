"""Ties window, link and backend process together: who starts, restarts, reports and ends what."""

from __future__ import annotations

from backend.requests import Shutdown
from mento_gui.backend_link import BackendLink
from mento_gui.backend_process import BackendProcess
from mento_gui.close_question import CloseChoice
from mento_gui.host_approval import HostApproval
from mento_gui.main_window import MainWindow
from mento_gui.output_reading import OutputOpener


def wire_up(window: MainWindow, link: BackendLink, process: BackendProcess) -> None:
    """Connect the three; nothing is started yet.

    A backend that is silent is replaced unless one still answers. Closing the window ends the backend this window
    has started if the person (or the window's own rule) chose so, and lets go of it otherwise.
    """

    def show_running(owned: bool) -> None:
        window.owns_backend = owned
        window.show_waiting(
            "The backend is starting." if owned else "A backend was found; it will speak any moment."
        )

    def close_down(choice: CloseChoice) -> None:
        if choice is CloseChoice.STOP and process.owned:
            link.send(Shutdown())
            process.stop()
        process.leave_running()
        link.stop()

    approval = HostApproval(window)
    link.snapshot_changed.connect(approval.consider)
    window.approval_wanted.connect(approval.ask_again)
    approval.told.connect(window.show_message)
    approval.failed.connect(window.show_error)
    window.page.jobs.outputs_wanted.connect(OutputOpener(window).open)
    process.running.connect(show_running)
    process.died.connect(window.show_error)
    link.lost.connect(lambda _age_s: process.ensure())
    window.settings.saved.connect(lambda file, _author: process.use_settings(file))
    window.closing.connect(close_down)
