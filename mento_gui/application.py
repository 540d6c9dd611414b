"""Starts the window: Qt is set up, the window is painted, then a backend is found or started."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PyQt5.QtWidgets import QApplication

_SMALL_SCREEN_HEIGHT_PX = 900
_POINT_SIZES = (9.0, 10.0)


def run_window(root: Path, settings_file: Path | None, *, demo_title: str = "") -> int:
    """Run the window for the backend of ``root`` until it is closed; return the exit code of the program.

    A backend that answers for ``root`` is used; else one is started as a child that outlives a crash of the window.
    With ``demo_title`` it stands in the window title, and closing stops the backend without a question.
    """
    _prepare_environment()
    # Imported here, so that nothing of Qt is loaded before its environment is set, and never by the headless program.
    import platformdirs
    from PyQt5.QtCore import QEvent, QSettings, QTimer

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
        demo_title=demo_title,
    )
    report.reported.connect(window.show_message)

    def close_soon() -> None:
        window.close_without_question()

    wire_up(window, link, process)
    window.show()
    link.start()
    # Only when the window has been painted: looking for a backend may take half a second.
    QTimer.singleShot(0, process.start)
    # From the event loop, as a signal may arrive in the middle of anything.
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: QTimer.singleShot(0, close_soon)) for number in numbers]
    code = application.exec_()
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)
    report.remove()
    # Qt deletes the window now, while all of Python is still there; left to the end of the program the order is random.
    window.deleteLater()
    application.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    return int(code)


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
