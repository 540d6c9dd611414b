"""What the nodes of a cluster get: an environment of the base package alone, where all but the window works."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import h5py
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.system

PROJECT = Path(__file__).resolve().parents[2]
WINDOW_PACKAGES = {"pyqt5", "pyqt5-qt5", "pyqt5-sip", "pyqtgraph", "qtawesome", "qtpy"}


def required_by(name: str, known: dict[str, metadata.Distribution]) -> None:
    """Add a distribution and all that it needs here without extras."""
    key = canonicalize_name(name)
    if key in known:
        return
    known[key] = metadata.distribution(name)
    for text in known[key].requires or []:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            required_by(requirement.name, known)


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment that has the required distributions and nothing else."""
    folder = tmp_path_factory.mktemp("worker") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=60)
    packages = next(folder.glob("lib/python3*/site-packages"))
    known: dict[str, metadata.Distribution] = {}
    required_by("mento-gui", known)
    for distribution in known.values():
        for file in distribution.files or []:
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not (packages / top).exists():
                (packages / top).symlink_to(Path(str(distribution.locate_file(top))))
    if not (packages / "backend").exists():
        # An installation from the checkout only names its folder.
        (packages / "checkout.pth").write_text(f"{PROJECT}\n", encoding="utf-8")
    assert not WINDOW_PACKAGES & set(known)
    return folder / "bin" / "python"


def run(worker: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [worker, "-P", *arguments], env=clean | environment, capture_output=True, text=True, timeout=180, check=False,
        cwd="/",
    )  # fmt: skip


def test_it_has_no_qt_and_nothing_misses_it(worker: Path) -> None:
    program = """
import importlib, importlib.util, pkgutil, backend, mento_gui.command_line
for name in ("PyQt5", "pyqtgraph", "qtawesome", "qtpy"):
    assert importlib.util.find_spec(name) is None, name
modules = [module.name for module in pkgutil.walk_packages(backend.__path__, "backend.")]
for name in modules:
    importlib.import_module(name)
print(len(modules))
"""
    ended = run(worker, "-c", program)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) > 150


@pytest.mark.timeout(400)
def test_a_series_is_simulated_and_correlated_there(worker: Path, tmp_path: Path) -> None:
    simulate = [
        "simulate",
        "--to",
        str(tmp_path),
        "--scenario",
        "stable",
        "--detector",
        "eiger500k",
        "--frames",
        "16",
    ]
    ended = run(
        worker, "-m", "mento_gui", *simulate, "--frame-time", "0.01", "--photons", "0.05", "--seed", "1"
    )
    assert ended.returncode == 0, ended.stderr
    (master,) = tmp_path.rglob("*_master.h5")
    result = tmp_path / "result.h5"
    ended = run(worker, "-m", "mento_gui", "correlate", str(master), "--to", str(result))
    assert ended.returncode == 0, ended.stderr
    with h5py.File(result) as file:
        assert file["/xpcs/multitau/normalized_g2"].size > 0


def test_the_window_says_what_it_lacks(worker: Path) -> None:
    ended = run(worker, "-m", "mento_gui", QT_QPA_PLATFORM="offscreen")
    assert ended.returncode == 1 and "pip install 'mento-gui[gui]'" in ended.stderr
