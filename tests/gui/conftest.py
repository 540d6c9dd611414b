from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"
os.environ["QT_API"] = "pyqt5"
os.environ["PYQTGRAPH_QT_LIB"] = "PyQt5"

import pytest  # noqa: E402
from PyQt5.QtCore import QCoreApplication, QEvent, QSettings  # noqa: E402
from PyQt5.QtWidgets import QApplication, QWidget  # noqa: E402
from quiet_wire import QuietWire, SetClock  # noqa: E402

from mento_gui.backend_link import BackendLink  # noqa: E402
from mento_gui.close_question import CloseChoice  # noqa: E402
from mento_gui.main_window import MainWindow  # noqa: E402
from widgets.plot_setup import configure_plots  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def _plots(qapp: QApplication, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    configure_plots()
    font = qapp.font()
    font.setPointSizeF(9.0)
    qapp.setFont(font)
    qapp.setStyle("Fusion")
    yield


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def wire() -> QuietWire:
    return QuietWire()


@pytest.fixture
def link(qapp: QApplication, wire: QuietWire, clock: SetClock) -> BackendLink:
    return BackendLink(wire, clock=clock)


@pytest.fixture
def keep(qtbot) -> Iterator[Callable[[QWidget], None]]:
    """Holds a widget until Qt has deleted it: one that only Qt knows could vanish while it is being painted."""
    kept: list[QWidget] = []

    def hold(widget: QWidget) -> None:
        kept.append(widget)

    yield hold
    for widget in kept:
        widget.close()
        widget.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.DeferredDelete)


@pytest.fixture
def make_window(qtbot, keep, link: BackendLink, clock: SetClock, tmp_path: Path) -> Callable[..., MainWindow]:
    def make(
        *, size: tuple[int, int] = (1366, 700), choice: CloseChoice = CloseChoice.KEEP, title: str = ""
    ) -> MainWindow:
        window = MainWindow(
            link,
            preferences=QSettings(str(tmp_path / "preferences.ini"), QSettings.Format.IniFormat),
            save_folder=tmp_path / "saved",
            demo_title=title,
            ask_close=lambda _window: choice,
            clock=clock,
        )
        keep(window)
        window.resize(*size)
        window.show()
        qtbot.waitExposed(window)
        return window

    return make


@pytest.fixture
def window(make_window: Callable[..., MainWindow]) -> MainWindow:
    return make_window()
