"""Version of the installed program."""

from __future__ import annotations

from importlib.metadata import version

PROGRAM_VERSION = version("mento-gui")
