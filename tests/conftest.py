"""For all tests: no screen needed, and nothing may be logged as a warning that a test does not look at."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest

# Before any test module imports Qt; ./test chooses "xcb" itself for the tests on an X server.
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

OUR_LOGGERS = ("backend", "widgets", "mento_gui", "resources")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "DISPLAY" in os.environ:
        return
    skip = pytest.mark.skip(reason="needs an X server; ./test starts one")
    for item in items:
        if item.get_closest_marker("xvfb"):
            item.add_marker(skip)


class _WarningRecorder(logging.Handler):
    def __init__(self) -> None:
        super().__init__(level=logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] in OUR_LOGGERS:
            self.records.append(record)


@pytest.fixture(autouse=True)
def _no_unexpected_warnings(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that makes us log a warning, unless it takes ``caplog`` and so looks at the log itself."""
    recorder = _WarningRecorder()
    root = logging.getLogger()
    root.addHandler(recorder)
    try:
        yield
    finally:
        root.removeHandler(recorder)
    if recorder.records and "caplog" not in request.fixturenames:
        lines = "\n".join(f"{record.name}: {record.getMessage()}" for record in recorder.records)
        pytest.fail(f"Unexpected warnings in the log (take the caplog fixture if they belong here):\n{lines}")


@pytest.fixture(scope="session", autouse=True)
def _own_user_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the settings and history of the person who runs the tests out of them; child processes inherit it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name.lower())))
        yield


@pytest.fixture
def x_display_environment() -> dict[str, str]:
    """Environment for a child process that draws on the X server which ./test started."""
    return {**os.environ, "QT_QPA_PLATFORM": "xcb"}
