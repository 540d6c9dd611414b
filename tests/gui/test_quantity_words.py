from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widgets.quantity_words import count_words, duration_words, log_tick_words, three_digits


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.84, "0.8 s"),
        (12.3, "12 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 05 min"),
        (400_000, "4 days"),
        (-1, "0.0 s"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration_words(seconds) == words


@given(st.floats(0, 1e7))
def test_no_duration_speaks_of_sixty(seconds: float) -> None:
    assert "60 s" not in duration_words(seconds)
    assert "60 min" not in duration_words(seconds)


@given(st.floats(min_value=1e-12, max_value=1e12))
def test_three_digits_are_right_to_half_a_percent(value: float) -> None:
    words = three_digits(value)
    assert "e" not in words
    mantissa, _, power = words.partition("·10")
    plain = power.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    read = float(mantissa) * 10.0 ** int(plain or 0)
    assert math.isclose(read, value, rel_tol=0.0051)


def test_what_is_not_known_is_a_dash() -> None:
    assert three_digits(math.nan) == "–"


def test_thousands_are_set_apart() -> None:
    assert count_words(12403) == "12\u202f403"


@pytest.mark.parametrize(
    ("exponent", "factor", "words"),
    [(0, 1, "1"), (-2, 5, "0.05"), (3, 1, "1000"), (7, 1, "10⁷"), (-9, 2, "2·10⁻⁹")],
)
def test_tick_labels(exponent: int, factor: int, words: str) -> None:
    assert log_tick_words(exponent, factor) == words
