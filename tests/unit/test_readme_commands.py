"""Every command that the README shows exists, with every option it shows."""

from __future__ import annotations

import functools
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
README = (PROJECT / "README.md").read_text(encoding="utf-8")
PROGRAM = Path(sys.executable).with_name("mento-gui")
OPTION = re.compile(r"--[a-z][a-z-]*")


def shell_commands() -> list[str]:
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```$", README, flags=re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip()]


def commands_in_the_table() -> list[str]:
    """Rows like ``mento-gui demo`` with the options that the description names."""
    rows = re.findall(r"^\| `(mento-gui[^`]*)` \|(.*)\|$", README, flags=re.MULTILINE)
    return [" ".join([command, *OPTION.findall(text)]) for command, text in rows]


@functools.cache
def options_of(command: tuple[str, ...]) -> frozenset[str]:
    """Options that the help text of a command names; fails when the command does not exist."""
    finished = subprocess.run(
        [*command, "--help"], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False
    )
    assert finished.returncode == 0, f"{shlex.join(command)} --help: {finished.stdout}{finished.stderr}"
    return frozenset(OPTION.findall(finished.stdout))


def check_program(arguments: list[str]) -> None:
    subcommand = arguments[:1] if arguments and not arguments[0].startswith("-") else []
    shown = {word.partition("=")[0] for word in arguments if OPTION.match(word)}
    assert shown <= options_of((str(PROGRAM), *subcommand))


def check_pytest(arguments: list[str]) -> None:
    configuration = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    markers = {line.partition(":")[0] for line in configuration["tool"]["pytest"]["ini_options"]["markers"]}
    expected_marker = False
    for argument in arguments:
        if expected_marker:
            assert argument in markers
        elif not argument.startswith("-"):
            assert (PROJECT / argument).exists()
        expected_marker = argument == "-m"


@pytest.mark.parametrize("command", [*shell_commands(), *commands_in_the_table()])
def test_command_exists_with_its_options(command: str) -> None:
    program, *arguments = shlex.split(command)
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    passed_on = arguments[len(own) + 1 :]
    if program in ("./run", "./test"):
        assert set(own) <= options_of((program,))
        check_program(passed_on) if program == "./run" else check_pytest(passed_on)
    elif program in ("mento-gui", ".venv/bin/mento-gui"):
        check_program(arguments)
    else:
        script = PROJECT / program
        assert script.is_file() and script.stat().st_mode & 0o111, (
            f"{program} is not a program of this project"
        )
        assert arguments == []


def test_the_readme_shows_both_scripts_and_the_program() -> None:
    programs = {shlex.split(command)[0] for command in shell_commands()}
    assert {"./run", "./test", ".venv/bin/mento-gui"} <= programs


@pytest.mark.parametrize("target", re.findall(r"\]\(((?!https?:)[^)#]+)\)", README))
def test_linked_files_exist(target: str) -> None:
    assert (PROJECT / target).exists()
