"""The rules of docs/architecture.md, checked: who imports whom, what the backend loads, how long a file may be."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PACKAGES = ("backend", "widgets", "mento_gui", "resources")
CONFIGURATION = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
LONGEST_FILE_LINES = 400
LONGEST_FUNCTION_LINES = 40


def source_files() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (PROJECT / package).rglob("*.py"))


def relative_name(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [str(program), "--config", str(folder / "pyproject.toml"), "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def broken_contracts(report: str) -> set[str]:
    return {line.partition(" BROKEN")[0] for line in report.splitlines() if " BROKEN" in line}


@pytest.fixture
def project_copy(tmp_path: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(PROJECT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    return tmp_path


def test_import_contracts_hold() -> None:
    finished = lint_imports(PROJECT)
    assert finished.returncode == 0, finished.stdout + finished.stderr


@pytest.mark.parametrize(
    ("package", "forbidden_import", "contract_start"),
    [
        ("backend/detector", "import PyQt5.QtCore", "The backend knows no Qt"),
        ("widgets", "import backend.dispatch", "Views know only"),
        ("widgets", "import mento_gui", "Nobody imports the program"),
        ("resources", "import backend", "Resources import nothing"),
        ("backend/damage", "import backend.correlation", "The step folders"),
    ],
)
def test_each_contract_notices_a_forbidden_import(
    project_copy: Path, package: str, forbidden_import: str, contract_start: str
) -> None:
    (project_copy / package / "trespasser.py").write_text(forbidden_import + "\n", encoding="utf-8")
    finished = lint_imports(project_copy)
    assert finished.returncode == 1, finished.stdout + finished.stderr
    assert any(name.startswith(contract_start) for name in broken_contracts(finished.stdout)), finished.stdout


def test_loading_the_whole_backend_loads_no_qt() -> None:
    modules = [
        relative_name(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for path in source_files()
        if path.is_relative_to(PROJECT / "backend") and path.name != "__main__.py"
    ]
    program = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
        "print(*sorted(name for name in sys.modules if name.partition('.')[0] in ('PyQt5', 'qtpy', 'pyqtgraph')))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program, *modules],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.split() == []


def test_every_package_folder_is_installed() -> None:
    on_disk = {
        relative_name(path.parent).replace("/", ".") for path in source_files() if path.name == "__init__.py"
    }
    assert set(CONFIGURATION["tool"]["setuptools"]["packages"]) == on_disk


def test_every_direct_dependency_has_a_locked_version() -> None:
    locked = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (PROJECT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    }
    extras = CONFIGURATION["project"]["optional-dependencies"]
    wanted = [*CONFIGURATION["project"]["dependencies"], *extras["gui"], *extras["test"]]
    names = {requirement.partition(">=")[0].lower().replace("_", "-") for requirement in wanted}
    assert names - locked == set()


@pytest.mark.parametrize("path", source_files(), ids=relative_name)
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_FILE_LINES
    too_long = [
        f"{node.name} ({length} lines)"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := lines_of_code(node)) > LONGEST_FUNCTION_LINES
    ]
    assert too_long == []


def lines_of_code(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring and decorators."""
    assert node.end_lineno is not None
    first = node.body[0]
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        assert first.end_lineno is not None
        return node.end_lineno - first.end_lineno
    return node.end_lineno - node.lineno + 1
