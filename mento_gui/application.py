"""Starts the window: Qt is set up, the window is painted, then a backend is found or started."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from backend.errors import FeedbackError

if TYPE_CHECKING:
    from PyQt5.QtWidgets import QApplication

    from mento_gui.main_window import MainWindow

_SMALL_SCREEN_HEIGHT_PX = 900
_POINT_SIZES = (9.0, 10.0)


def _check_window_packages() -> None:
    if importlib.util.find_spec("PyQt5") is None:
        raise FeedbackError(
            "The packages for the window are not installed here.",
            still_works="All commands work without them, and the backend with --backend-only.",
            try_this="For the window: pip install 'mento-gui[gui]', or ./run in a checkout.",
        )


def run_window(root: Path, settings_file: Path | None, *, demo_title: str = "") -> int:
    """Run the window for the backend of ``root`` until it is closed; return the exit code of the program.

    A backend that answers for ``root`` is used; else one is started as a child that outlives a crash of the window.
    With ``demo_title`` it stands in the window title, and closing stops the backend without a question.

    Raises
    ------
    FeedbackError
        What the window needs is not installed.
    """
    _check_window_packages()
    _prepare_environment()
    # Imported here, so that nothing of Qt is loaded before its environment is set, and never by the headless program.
    import platformdirs
    from PyQt5.QtCore import QSettings, QTimer

    from backend.publish.client import BackendClient
    from mento_gui.backend_link import BackendLink
    from mento_gui.backend_process import BackendProcess
    from mento_gui.exception_report import ExceptionReport
    from mento_gui.main_window import MainWindow
    from mento_gui.window_wiring import wire_up

    application = make_application()
    report = ExceptionReport()
    report.install()
    link = BackendLink(BackendClient(root))
    process = BackendProcess(root, settings_file)
    window = MainWindow(
        link,
        preferences=QSettings("mento-gui", "window"),
        save_folder=platformdirs.user_documents_path() / "mento-gui",
        settings_file=settings_file,
        demo_title=demo_title,
    )
    report.reported.connect(window.show_message)
    wire_up(window, link, process)
    window.show()
    link.start()
    # Only when the window has been painted: looking for a backend may take half a second.
    QTimer.singleShot(0, process.start)
    with _signals_close(window):
        code = application.exec_()
    report.remove()
    _delete(window)
    return int(code)


def _delete(window: MainWindow) -> None:
    """Let Qt delete the window while all of Python is still there; at the end of the program the order is random."""
    from PyQt5.QtCore import QCoreApplication, QEvent

    window.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@contextmanager
def _signals_close(window: MainWindow) -> Iterator[None]:
    """Within the block, Ctrl+C and a request of the system to end close the window in good order."""
    from PyQt5.QtCore import QTimer

    def close_soon(_number: int, _frame: object) -> None:
        # From the event loop, as a signal may arrive in the middle of anything.
        QTimer.singleShot(0, window.close_without_question)

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, close_soon) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def make_application() -> QApplication:
    """The application object with scaling, style, font and plot options set."""
    from PyQt5.QtCore import Qt
    from PyQt5.QtGui import QGuiApplication
    from PyQt5.QtWidgets import QApplication

    from widgets.plot_setup import configure_plots

    QGuiApplication.setHighDpiScaleFactorRoundingPolicy(Qt.HighDpiScaleFactorRoundingPolicy.PassThrough)
    QApplication.setAttribute(Qt.ApplicationAttribute.AA_EnableHighDpiScaling)
    QApplication.setAttribute(Qt.ApplicationAttribute.AA_UseHighDpiPixmaps)
    application = QApplication(["mento-gui"])
    application.setApplicationName("mento-gui")
    application.setStyle("Fusion")
    screen = application.primaryScreen()
    small = screen is not None and screen.availableGeometry().height() < _SMALL_SCREEN_HEIGHT_PX
    font = application.font()
    font.setPointSizeF(_POINT_SIZES[0] if small else _POINT_SIZES[1])
    application.setFont(font)
    configure_plots()
    return application


def _prepare_environment() -> None:
    # Both libraries choose a Qt binding by themselves unless they are told.
    os.environ["QT_API"] = "pyqt5"
    os.environ["PYQTGRAPH_QT_LIB"] = "PyQt5"
