"""A window of a real process on the X server: found by its process, looked at, clicked and typed into."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

import numpy as np
from program import wait_until

SIZE_PX = (1366, 768)
"""Width and height that the window is given, so that places in it are known."""
_ANSWER_S = 20.0


@dataclass(frozen=True)
class Place:
    """A rectangle of the window, in parts of its width and height."""

    left: float
    top: float
    right: float
    bottom: float

    def cut(self, picture: np.ndarray) -> np.ndarray:
        """This part of a picture, shape (y, x, 3)."""
        height, width = picture.shape[:2]
        return picture[
            round(self.top * height) : round(self.bottom * height),
            round(self.left * width) : round(self.right * width),
        ]

    @property
    def centre(self) -> tuple[float, float]:
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


class XWindow:
    """The main window of the process ``pid``; waits until it is on the screen.

    Attributes
    ----------
    shown_after_s : float
        How long that took.
    """

    def __init__(self, pid: int, within_s: float) -> None:
        found: list[str] = []

        def visible() -> bool:
            found[:] = _ask(
                "xdotool",
                "search",
                "--all",
                "--onlyvisible",
                "--pid",
                str(pid),
                "--name",
                "mento-gui",
                misses=True,
            ).split()
            return bool(found)

        self.shown_after_s = wait_until(visible, within_s, "the window is on the screen")
        self.number = found[0]

    @property
    def title(self) -> str:
        """The words in the title bar; empty once the window is gone."""
        return _ask("xdotool", "getwindowname", self.number, misses=True).strip()

    def until_title(self, word: str, within_s: float) -> float:
        """Seconds until ``word`` stands in the title."""
        return wait_until(lambda: word in self.title, within_s, f"'{word}' in the window title")

    def take_known_size(self) -> None:
        """Put the window into the upper left corner with the size of a laptop screen."""
        _ask("xdotool", "windowsize", self.number, *map(str, SIZE_PX))
        _ask("xdotool", "windowmove", self.number, "0", "0")
        wait_until(lambda: self._size() == SIZE_PX, _ANSWER_S, "the window has its new size")

    def _size(self) -> tuple[int, int]:
        lines = _ask("xdotool", "getwindowgeometry", "--shell", self.number).split()
        facts = dict(line.split("=") for line in lines)
        return int(facts["WIDTH"]), int(facts["HEIGHT"])

    def dialog_is_open(self, pid: int) -> bool:
        """Whether the process asks whether the backend shall go on."""
        return bool(self._dialog(pid))

    def answer_dialog(self, pid: int) -> None:
        """Take the answer that the dialog offers first."""
        _ask("xdotool", "windowfocus", "--sync", self._dialog(pid))
        _ask("xdotool", "key", "Return")

    def _dialog(self, pid: int) -> str:
        title = "Close the window"
        return _ask(
            "xdotool", "search", "--all", "--onlyvisible", "--pid", str(pid), "--name", title, misses=True
        ).strip()

    def picture(self) -> np.ndarray:
        """What the screen shows of the window, shape (y, x, 3), uint8."""
        width, height = self._size()
        crop = f"{width}x{height}+0+0"
        command = ["import", "-silent", "-window", "root", "-crop", crop, "-depth", "8", "rgb:-"]
        raw = subprocess.run(command, capture_output=True, check=True, timeout=_ANSWER_S).stdout
        return np.frombuffer(raw, np.uint8).reshape(height, width, 3)

    def until_changed(self, place: Place, before: np.ndarray, what: str, part: float = 0.02) -> np.ndarray:
        """The first picture in which at least ``part`` of the pixels of ``place`` differ from ``before``."""
        pictures = [before]

        def changed() -> bool:
            pictures[0] = self.picture()
            return changed_part(place, before, pictures[0]) >= part

        wait_until(changed, _ANSWER_S, what)
        return pictures[0]

    def press(self, keys: str) -> None:
        """Type a key or a combination such as ``ctrl+s``."""
        _ask("xdotool", "windowfocus", "--sync", self.number)
        _ask("xdotool", "key", "--clearmodifiers", keys)

    def click(self, x: float, y: float) -> None:
        """Click at a place given in parts of width and height."""
        width, height = self._size()
        _ask("xdotool", "mousemove", "--window", self.number, str(round(x * width)), str(round(y * height)))
        _ask("xdotool", "click", "1")


def changed_part(place: Place, before: np.ndarray, after: np.ndarray) -> float:
    """Share of the pixels of ``place`` that differ between two pictures; 1 when their sizes do."""
    first, second = place.cut(before), place.cut(after)
    if first.shape != second.shape:
        return 1.0
    return float(np.mean(np.any(first != second, axis=2)))


def colours(picture: np.ndarray) -> int:
    """How many different colours a picture has."""
    channels = picture.reshape(-1, 3).astype(np.uint32)
    return len(np.unique(channels[:, 0] << 16 | channels[:, 1] << 8 | channels[:, 2]))


def _ask(*command: str, misses: bool = False) -> str:
    """Output of an X tool; with ``misses`` it may find nothing."""
    done = subprocess.run(command, capture_output=True, text=True, check=not misses, timeout=_ANSWER_S)
    return done.stdout
