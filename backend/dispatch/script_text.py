"""Placeholders in a shell script: every value is put in as one quoted word, and only where a word can stand."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

# What decides how the shell reads the text after it; ${name} is a variable, other braces are the shell's or awk's own.
_TOKEN = re.compile(
    r"""
      \\.                                            # an escaped character
    | ['"]                                           # a quote begins or ends
    | (?:^|(?<=[\s;&|(]))\#[^\n]*                    # a comment
    | (?<![\w)<])<<-?[ \t]*(?P<mark>['"]?)(?P<end>\w+)(?P=mark)   # a here-document, up to a line with this word
    | \n
    | (?<!\$)\{(?P<name>[a-z_]+)\}                   # a placeholder, if the name is known
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)


class ScriptFault(NamedTuple):
    """What is wrong in which line (from 1) of a script."""

    line: int
    what: str


class _Place(NamedTuple):
    """Where a name in braces stands, and whether the shell is inside quotes there."""

    match: re.Match[str]
    quoted: bool


def placeholders_of(script: str, known: Sequence[str]) -> tuple[str, ...]:
    """Known placeholders in a script, each once, in order."""
    return tuple(
        dict.fromkeys(place.match["name"] for place in _places(script) if place.match["name"] in known)
    )


def fill_script(script: str, values: Mapping[str, str]) -> str:
    """Script with each value as one word of the shell.

    Braces that hold no known name, comments and here-documents stay as they are; so do placeholders between quotes,
    which :func:`script_faults` refuses.
    """
    parts = []
    done = 0
    for match, quoted in _places(script):
        if match["name"] in values and not quoted:
            parts += [script[done : match.start()], shlex.quote(values[match["name"]])]
            done = match.end()
    return "".join([*parts, script[done:]])


def script_faults(script: str, known: Sequence[str]) -> Iterator[ScriptFault]:
    """Placeholders that look misspelt, or stand between quotes where their own quotes would end the text."""
    for match, quoted in _places(script):
        name = match["name"]
        line = script.count("\n", 0, match.start()) + 1
        if name not in known:
            likely = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
            if likely and not quoted:
                yield ScriptFault(line, f"{{{name}}} is not known; do you mean {{{likely[0]}}}?")
        elif quoted:
            yield ScriptFault(
                line,
                f"{{{name}}} stands between quotes; leave them out, its value is quoted already, or write "
                f"$MENTO_{name.upper()}",
            )


def _places(script: str) -> Iterator[_Place]:
    """Names in braces outside comments and here-documents."""
    quote = ""
    ends: list[str] = []
    position = 0
    while match := _TOKEN.search(script, position):
        position = match.end()
        token = match[0]
        if match["name"]:
            yield _Place(match, bool(quote))
        elif quote == "'":
            # Nothing but the closing quote means anything; a backslash does not hide it.
            if token == "'" or token == "\\'":
                quote = ""
            elif len(token) > 1:
                position = match.start() + 1
        elif token in ("'", '"'):
            quote = "" if token == quote else quote or token
        elif quote:
            # A comment or here-document cannot begin between quotes.
            position = match.start() + (2 if token.startswith("\\") else 1)
        elif match["end"]:
            ends.append(match["end"])
        elif token == "\n" and ends:
            position = _after_here_documents(script, position, ends)
            ends = []


def _after_here_documents(script: str, position: int, ends: Sequence[str]) -> int:
    for end in ends:
        found = re.compile(rf"^\t*{re.escape(end)}$", re.MULTILINE).search(script, position)
        if found is None:
            return len(script)
        position = found.end()
    return position
