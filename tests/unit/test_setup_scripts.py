"""./run, ./test and the set-up they share, run by the system's own sh."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
FINGERPRINTED = ("pyproject.toml", "constraints.txt", ".ci/setup.sh")


def shell(project: Path, command: str, package_set: str = "run") -> subprocess.CompletedProcess[str]:
    """Result of a command that may use the functions of .ci/setup.sh for the checkout in ``project``."""
    program = f'set -eu; project=$1; package_set={package_set}; steps=1; . "$project/.ci/setup.sh"; {command}'
    return subprocess.run(
        ["sh", "-c", program, "sh", str(project)], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with a space in its name, a real environment and what the set-up reads."""
    folder = tmp_path / "check out"
    for name in FINGERPRINTED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, folder / name)
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", str(folder / ".venv")],
        check=True,
    )
    # The set-up asks whether pip can be imported; installing it for every test would take seconds.
    import pip

    packages = next((folder / ".venv").glob("lib/python3*/site-packages"))
    (packages / "pip").symlink_to(Path(pip.__file__).parent)
    (folder / ".venv" / "made-in").write_text(f"{folder}\n", encoding="utf-8")
    return folder


def mark_installed(checkout: Path, package_set: str) -> None:
    """What a finished installation leaves behind."""
    (checkout / ".venv/bin/mento-gui").symlink_to(sys.executable)
    fingerprint = shell(checkout, "environment_fingerprint").stdout.strip()
    assert len(fingerprint) == 64
    (checkout / ".venv/installed").write_text(f"{fingerprint} {package_set}\n", encoding="utf-8")


@pytest.mark.parametrize("script", ["./run", "./test"])
def test_help_says_how_to_pass_arguments(script: str) -> None:
    finished = subprocess.run([script, "--help"], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0
    assert "--setup-only" in finished.stdout
    assert f"{script} -- " in finished.stdout


@pytest.mark.parametrize("script", ["./run", "./test"])
def test_an_unknown_argument_is_answered_with_the_right_way(script: str) -> None:
    finished = subprocess.run([script, "demo"], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert finished.returncode == 2
    assert f"{script} -- demo" in finished.stderr


def test_a_complete_environment_is_used(checkout: Path) -> None:
    assert shell(checkout, "environment_works").returncode == 0
    assert shell(checkout, "environment_was_moved").returncode != 0


def test_an_interrupted_environment_is_not_used(checkout: Path) -> None:
    (checkout / ".venv/unfinished").touch()
    assert shell(checkout, "environment_works").returncode != 0


def test_an_environment_without_its_python_is_not_used(checkout: Path) -> None:
    for link in (checkout / ".venv/bin").glob("python*"):
        link.unlink()
    assert shell(checkout, "environment_works").returncode != 0


def test_a_moved_checkout_is_noticed(checkout: Path) -> None:
    moved = checkout.with_name("elsewhere")
    checkout.rename(moved)
    assert shell(moved, "environment_was_moved").returncode == 0


def test_unchanged_packages_are_not_installed_again(checkout: Path) -> None:
    mark_installed(checkout, "run")
    assert shell(checkout, "packages_are_current").returncode == 0


@pytest.mark.parametrize("name", FINGERPRINTED)
def test_a_changed_file_means_a_new_installation(checkout: Path, name: str) -> None:
    mark_installed(checkout, "run")
    with (checkout / name).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert shell(checkout, "packages_are_current").returncode != 0


@pytest.mark.parametrize(
    ("installed", "wanted", "current"),
    [("run", "run", True), ("run", "test", False), ("test", "run", True), ("test", "test", True)],
)
def test_the_test_packages_include_those_of_the_program(
    checkout: Path, installed: str, wanted: str, current: bool
) -> None:
    mark_installed(checkout, installed)
    finished = shell(checkout, "packages_are_current", package_set=wanted)
    assert (finished.returncode == 0) is current


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="only Debian knows its packages")
def test_missing_system_packages_are_named_and_present_ones_are_not(checkout: Path) -> None:
    command = 'window_packages="dpkg no-such-package-x"; python_packages=; missing_packages'
    assert shell(checkout, command).stdout == "no-such-package-x"


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="only Debian knows its packages")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_an_ordinary_user_gets_the_line_for_the_administrator() -> None:
    functions = (PROJECT / ".ci/setup.sh").read_text(encoding="utf-8")
    wanted = "window_packages=no-such-package-x"
    program = f"set -eu; package_set=run; steps=1\n{functions}\n{wanted}; set_up_system_packages"
    nobody = 65534
    finished = subprocess.run(
        ["sh", "-s"],
        input=program,
        cwd="/",
        user=nobody,
        group=nobody,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 3
    assert "sudo apt-get install --no-install-recommends" in finished.stderr
    assert finished.stderr.count("no-such-package-x") == 1
