"""Compiled kernels are found again only by the very sources they were made of."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import platformdirs
import pytest

from backend.kernel_cache import NUMBA_FOLDER, kernel_folder_in, use_kernel_cache

ROOT = Path(__file__).parents[2]
DAY_S = 86_400.0
SOURCES = {
    "steps/kernels.py": "import numba\n"
    "from backend.steps import products as p\nfrom backend.words import (\n    PLANES,\n)\n",
    "steps/products.py": "from backend.tables import MASKS\n",
    "tables.py": "MASKS = (1, 3)\n",
    "words.py": "PLANES = 16\n",
    "settings.py": "from backend.words import PLANES\n",
}


@pytest.fixture
def backend(tmp_path: Path) -> Path:
    folder = tmp_path / "backend"
    for name, text in SOURCES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("file", "matters"),
    [
        ("steps/kernels.py", True),
        ("steps/products.py", True),
        ("tables.py", True),
        ("words.py", True),
        ("settings.py", False),
    ],
)
def test_all_that_a_kernel_is_made_of_names_the_folder(
    file: str, matters: bool, backend: Path, tmp_path: Path
) -> None:
    before = kernel_folder_in(tmp_path / "cache", 30, backend)
    assert kernel_folder_in(tmp_path / "cache", 30, backend) == before
    with (backend / file).open("a") as text:
        text.write("# another state\n")
    after = kernel_folder_in(tmp_path / "cache", 30, backend)
    assert after.is_dir() and before.is_dir()
    assert (after != before) == matters


def test_the_kernels_of_this_program_are_among_the_sources(tmp_path: Path) -> None:
    copy = tmp_path / "backend"
    shutil.copytree(ROOT / "backend", copy, ignore=shutil.ignore_patterns("__pycache__"))
    before = kernel_folder_in(tmp_path / "cache", 30, copy)
    for name in ("machine_intrinsics.py", "photon_words.py", "correlation/word_products.py"):
        with (copy / name).open("a") as text:
            text.write("# another state\n")
        after = kernel_folder_in(tmp_path / "cache", 30, copy)
        assert after != before, name
        before = after


def test_folders_that_nobody_used_for_long_are_removed(backend: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for name, age_days in (("old", 31), ("young", 29)):
        (cache / name).mkdir(parents=True)
        (cache / name / "kernel.nbc").touch()
        os.utime(cache / name, (0, time.time() - age_days * DAY_S))
    folder = kernel_folder_in(cache, 30, backend)
    os.utime(folder, (0, 0))
    assert kernel_folder_in(cache, 30, backend) == folder
    assert {entry.name for entry in cache.iterdir()} == {"young", folder.name}
    assert time.time() - folder.stat().st_mtime < DAY_S


def test_a_folder_of_the_user_is_left_alone_and_one_of_ours_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    ours = platformdirs.user_cache_path("mento-gui") / "kernels"
    monkeypatch.setenv(NUMBA_FOLDER, str(tmp_path / "mine"))
    use_kernel_cache()
    assert os.environ[NUMBA_FOLDER] == str(tmp_path / "mine")
    monkeypatch.setenv(NUMBA_FOLDER, str(ours / "of-another-version"))
    use_kernel_cache()
    assert os.environ[NUMBA_FOLDER] == str(kernel_folder_in(ours, 30))


def test_without_room_in_the_cache_folder_numba_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.delenv(NUMBA_FOLDER, raising=False)
    use_kernel_cache()
    assert NUMBA_FOLDER not in os.environ


def test_the_program_uses_it_whatever_it_is_asked_for(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != NUMBA_FOLDER}
    environment["XDG_CACHE_HOME"] = str(tmp_path)
    subprocess.run(
        [sys.executable, "-m", "mento_gui", "correlate", "--help"],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
    )
    kernels = tmp_path / "mento-gui" / "kernels"
    assert list(kernels.iterdir()) == [kernel_folder_in(kernels, 30)]
