"""Reads a token that opens an interface; it never gets into a log or a message."""

from __future__ import annotations

import re
import stat
from pathlib import Path

from backend.errors import DispatchError

_STILL_WORKS = "Nothing was sent; live pictures, the verdict and local jobs go on."


def read_token(path: Path) -> str:
    """The token in a file that no other account may read.

    Raises
    ------
    DispatchError
        It is not there, may be read by others, or holds no token.
    """
    try:
        with open(path, encoding="ascii") as file:
            mode = stat.S_IMODE(path.stat().st_mode)
            text = file.read(65536).strip()
    except OSError as error:
        raise DispatchError(
            f"The token file {path} cannot be read: {error.strerror or error}.",
            still_works=_STILL_WORKS,
            try_this="Store a fresh token there, with mode 0600.",
        ) from error
    except UnicodeDecodeError:
        # What is in the file is not repeated.
        raise _no_token(path) from None
    if mode & 0o077:
        raise DispatchError(
            f"The token file {path} can be read by others (mode {mode:04o}), so it is not used.",
            still_works=_STILL_WORKS,
            try_this=f"Its owner types: chmod 600 {path} and asks for a new token, as this one may be known.",
        )
    # scontrol token prints it with its name before.
    token = text.removeprefix("SLURM_JWT=")
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise _no_token(path)
    return token


def _no_token(path: Path) -> DispatchError:
    return DispatchError(
        f"The file {path} holds no token.",
        still_works=_STILL_WORKS,
        try_this="Store the output of 'scontrol token' or 'slurm_token' there, with mode 0600.",
    )
