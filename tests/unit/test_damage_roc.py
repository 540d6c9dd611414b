"""A small damage benchmark on every run of the tests: false alarms, power, names and onsets with exact bounds."""

from __future__ import annotations

from typing import Any

import pytest
from scipy.stats import binom

from benchmarks.damage_cells import AGEING, DAMAGED, NULLS, small
from benchmarks.damage_outcomes import LEVELS, Watch, run
from benchmarks.damage_tables import as_markdown, exact_bounds, tables_of

NULL_SERIES = 200
SERIES_PER_DAMAGE = 9
SOME_DAMAGE = (
    "low q +30 %, tau_c 6",
    "low q +100 %, tau_c 6",
    "low q +30 % from frame 0, tau_c 6",
    "rate x4, tau_c 6",
    "rate x4, tau_c 60",
    "contrast -50 %, tau_c 60",
    "rate x4 while ageing, tau_c 6",
)
# A minute of one processor, which others may be using as well.
pytestmark = pytest.mark.timeout(900)
# Numbers further off than this are no chance.
CHANCE = 1e-4


@pytest.fixture(scope="module")
def tables() -> dict[str, list[dict[str, Any]]]:
    nulls = [small(NULLS[index % len(NULLS)]) for index in range(NULL_SERIES)]
    damaged = [
        small(cell)
        for cell in (*DAMAGED, *AGEING)
        if cell.name in SOME_DAMAGE
        for _ in range(SERIES_PER_DAMAGE)
    ]
    assert len(damaged) == 63
    return tables_of([run(cell, 7000 + seed, Watch()) for seed, cell in enumerate([*nulls, *damaged])])


def test_undamaged_series_raise_no_more_alarms_than_promised(tables: dict[str, list[dict[str, Any]]]) -> None:
    (everything, *cells) = tables["false_alarms"]
    assert (everything["series"], len(cells)) == (NULL_SERIES, len(NULLS))
    for alarms, level in zip(everything["alarms"], LEVELS, strict=False):
        assert alarms <= binom.isf(CHANCE, NULL_SERIES, level)
    # No more are called damaging than raise the alarm.
    assert everything["alarms"][-1] <= everything["alarms"][0]


def test_damage_is_found_after_its_onset_and_named(tables: dict[str, list[dict[str, Any]]]) -> None:
    rows = {row["cell"]: row for row in tables["detection"]}
    assert set(rows) == set(SOME_DAMAGE)
    number = SERIES_PER_DAMAGE * len(rows)
    assert sum(row["found"] for row in rows.values()) >= binom.ppf(CHANCE, number, 0.98)
    assert sum(row["before_onset"] for row in rows.values()) <= binom.isf(CHANCE, number, LEVELS[0])
    # At the end nearly all are named, and when a name is said for the first time it is right.
    assert sum(row["right_family_at_end"] for row in rows.values()) >= binom.ppf(CHANCE, number, 0.95)
    right, told = (sum(row["right_once_told"][index] for row in rows.values()) for index in (0, 1))
    assert told >= 0.9 * number
    assert right >= binom.ppf(CHANCE, told, 0.99)


def test_onsets_lie_in_their_intervals(tables: dict[str, list[dict[str, Any]]]) -> None:
    for when in ("onset_covered_at_alarm", "onset_covered_at_end"):
        inside, told = (
            sum(numbers) for numbers in zip(*(row[when] for row in tables["detection"]), strict=True)
        )
        assert inside >= binom.ppf(CHANCE, told, 0.9)


def test_the_program_is_better_than_what_one_would_write_in_an_evening(
    tables: dict[str, list[dict[str, Any]]],
) -> None:
    rivals = {row["rival"]: row for row in tables["rivals"]}
    ours = {row["cell"]: row["change_at_alarm"] for row in tables["detection"]}
    assert exact_bounds(rivals["CUSUM (0.5, 5)"]["false"], NULL_SERIES)[0] > 0.1
    for cell in ("low q +30 %, tau_c 6", "rate x4, tau_c 6"):
        assert not rivals["CUSUM, calibrated"]["changes"][cell] <= ours[cell]


def test_the_tables_can_be_printed(tables: dict[str, list[dict[str, Any]]]) -> None:
    text = as_markdown(tables)
    assert "**this program**" in text
    assert len([line for line in text.splitlines() if line.startswith("| low q")]) == 3


def test_exact_bounds_are_those_of_the_binomial() -> None:
    low, high = exact_bounds(3, 200)
    assert binom.sf(2, 200, low) == pytest.approx(0.025, rel=1e-6)
    assert binom.cdf(3, 200, high) == pytest.approx(0.025, rel=1e-6)
    assert exact_bounds(0, 10)[0] == 0.0
    assert exact_bounds(10, 10)[1] == 1.0
