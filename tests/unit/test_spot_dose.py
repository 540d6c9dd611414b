"""Dose of a spot over the series of a beamtime: who counts, what is said, and the onset seen before."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from series_records import record

from backend.damage.spot_dose import amount_words, spot_dose, spot_words
from backend.series_record import Spot
from backend.snapshot import VerdictState

ELSEWHERE = Spot(500.0, 0.0, 30.0, 20.0)
DAMAGED = {"verdict": VerdictState.DAMAGING, "onset_exposure_s": 4.0}


def test_only_earlier_series_on_the_same_spot_count() -> None:
    earlier = [
        record(1),
        record(2, spot=ELSEWHERE),
        record(3, spot=Spot(20.0, 10.0, 30.0, 20.0), exposure_s=5.0),
        record(4, spot=None),
        record(5, sample="other"),
        record(6, exposure_s=None),
    ]
    dose = spot_dose(record(7), earlier)
    assert dose is not None
    assert (dose.in_gray, dose.before, dose.own, dose.total) == (True, 1500.0, 1000.0, 2500.0)
    assert (dose.earlier_series, dose.without_exposure) == (3, 1)
    assert spot_words(dose) == (
        "2.5 kGy on this spot, 1.5 kGy of it from 3 earlier series (1 of unknown exposure not counted)."
    )


def test_a_place_may_be_that_of_any_sample() -> None:
    dose = spot_dose(record(7), [record(5, sample="other")], any_sample=True)
    assert dose is not None
    assert (dose.before, dose.earlier_series) == (1000.0, 1)


def test_a_fresh_spot_says_so() -> None:
    dose = spot_dose(record(2), [record(1, spot=ELSEWHERE)])
    assert dose is not None
    assert spot_words(dose) == "1 kGy on this spot, a fresh one."


def test_two_detectors_of_one_exposure_count_once() -> None:
    second = record(1, series="gel_00001_e500", folder="gel_00001", detector="e500", exposure_s=8.0)
    dose = spot_dose(record(2), [record(1), second])
    assert dose is not None
    assert (dose.before, dose.earlier_series) == (1000.0, 1)
    # The other detector of the series itself is no earlier series.
    again = spot_dose(record(1, series="gel_00001_e500", detector="e500"), [record(1)])
    assert again is not None
    assert again.earlier_series == 0


def test_gray_only_where_all_of_it_is_gray() -> None:
    dose = spot_dose(record(2), [record(1, gray_per_s=None)])
    assert dose is not None
    assert spot_words(dose) == (
        "20 s of full beam on this spot, 10 s of full beam of it from 1 earlier series."
    )


@pytest.mark.parametrize("unknown", [{"spot": None}, {"exposure_s": None}])
def test_unknown_is_unknown(unknown: dict[str, None]) -> None:
    assert spot_dose(record(2, **unknown), [record(1)]) is None


def test_the_smallest_onset_of_the_sample_is_told_with_what_its_spot_had_taken() -> None:
    earlier = [
        record(1, spot=ELSEWHERE, exposure_s=2.0),
        record(2, spot=ELSEWHERE, **DAMAGED),
        record(3, spot=Spot(-500.0, 0.0, 30.0, 20.0), verdict=VerdictState.DAMAGING, onset_exposure_s=9.0),
        record(4, sample="other", spot=Spot(0.0, 500.0, 30.0, 20.0), **(DAMAGED | {"onset_exposure_s": 1.0})),
    ]
    dose = spot_dose(record(5), earlier)
    assert dose is not None
    # 2 s before and 4 s in the series itself, at 100 Gy/s.
    assert (dose.onset, dose.onset_series) == (600.0, "gel_00002")
    assert spot_words(dose).endswith("; onset seen at 600 Gy in gel_00002.")


@given(st.lists(st.floats(0.1, 100.0), min_size=1, max_size=8), st.randoms())
def test_the_sum_does_not_depend_on_the_order_of_earlier_series(
    exposures_s: list[float], shuffle: object
) -> None:
    earlier = [record(number, exposure_s=exposure_s) for number, exposure_s in enumerate(exposures_s, 1)]
    mixed = list(earlier)
    shuffle.shuffle(mixed)  # type: ignore[attr-defined]
    one, other = (spot_dose(record(99), series) for series in (earlier, mixed))
    assert one is not None and other is not None
    assert one.before == pytest.approx(100 * sum(exposures_s))
    assert other.before == pytest.approx(one.before)


@given(st.floats(0.1, 100.0), st.floats(0.1, 100.0))
def test_dose_only_grows(exposure_s: float, more_s: float) -> None:
    now, later = (spot_dose(record(2, exposure_s=s), [record(1)]) for s in (exposure_s, exposure_s + more_s))
    assert now is not None and later is not None
    assert later.total > now.total


@pytest.mark.parametrize(
    ("amount", "in_gray", "words"),
    [
        (12_345.0, True, "12 kGy"),
        (0.0, True, "0 mGy"),
        (2.0e6, True, "2 MGy"),
        (14.9, False, "15 s of full beam"),
    ],
)
def test_amounts_in_words(amount: float, in_gray: bool, words: str) -> None:
    assert amount_words(amount, in_gray) == words


def test_the_dose_of_a_record_is_not_changed_by_its_absorbers_twice() -> None:
    """The exposure is weighted already."""
    dose = spot_dose(replace(record(1), transmission=0.1), [])
    assert dose is not None
    assert dose.own == 1000.0
