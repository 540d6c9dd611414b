"""Linear algebra of small matrices keeps to one thread: more of them only wait for each other beside the kernels."""

from __future__ import annotations

import os
import subprocess
import sys

_PROGRAM = """
import os, sys
from click.testing import CliRunner
from mento_gui.command_line import main
assert "numpy" not in sys.modules
CliRunner().invoke(main, ["status", "--help"])
print(os.environ["OPENBLAS_NUM_THREADS"])
"""


def _said(environment: dict[str, str]) -> str:
    return subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout.strip()


def test_the_program_sets_one_thread_before_the_library_is_loaded() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    assert _said(environment) == "1"


def test_a_number_that_is_set_already_stays() -> None:
    assert _said(os.environ | {"OPENBLAS_NUM_THREADS": "3"}) == "3"
