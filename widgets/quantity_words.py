"""Numbers as a person says them: three digits, units, durations in words."""

from __future__ import annotations

import math
import time


def duration_words(seconds: float) -> str:
    """A duration in words: ``0.8 s``, ``12 s``, ``3 min 20 s``, ``2 h 05 min``, ``3 days``."""
    seconds = max(0.0, seconds)
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
    if seconds < 48 * 3600:
        return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"
    return f"{int(seconds // 86400)} days"


def three_digits(value: float) -> str:
    """A number with three significant digits, never in a form like ``1e+03``; ``–`` when it is not known."""
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if -4 <= magnitude < 6:
        return f"{value:.{max(0, 2 - magnitude)}f}"
    return f"{value / 10.0**magnitude:.2f}·10{superscript(magnitude)}"


def count_words(count: int) -> str:
    """A whole number with thin gaps between thousands: ``12 403``."""
    return f"{count:,}".replace(",", "\u202f")


def superscript(exponent: int) -> str:
    """A whole number in raised digits, for powers of ten."""
    return str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def log_tick_words(exponent: int, factor: int = 1) -> str:
    """The label of ``factor * 10**exponent`` on a logarithmic axis."""
    if -4 <= exponent <= 4:
        return f"{factor * 10.0**exponent:.{max(0, -exponent)}f}"
    return f"{'' if factor == 1 else f'{factor}·'}10{superscript(exponent)}"


def clock_words(unix_time_s: float | None) -> str:
    """Local clock time of a moment, ``14:03:07``; empty when it is not known."""
    return "" if unix_time_s is None else time.strftime("%H:%M:%S", time.localtime(unix_time_s))
