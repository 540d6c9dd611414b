"""Series of a sample side by side: what is compared with what, and the sentence that comes of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from series_records import record

from backend.damage.across_series import across_series, motion_words
from backend.series_record import RelaxationRate, RingIntensities, SeriesRecord, Spot
from backend.snapshot import VerdictState

TRANSMISSIONS = (1.0, 0.3, 0.1, 1.0, 0.3, 0.1)
# Relative departures of the rates, so that no series is exactly where the law has it.
DEPARTURES = (0.02, -0.03, 0.01, -0.01, 0.03, -0.02)


def _intensities(low_rise: float = 0.0, first_q: float = 0.02) -> RingIntensities:
    q = np.geomspace(first_q, 0.08, 12)
    log_intensity = -2 * np.log(q) + low_rise * (q < 0.04)
    return RingIntensities(tuple(q), tuple(log_intensity), (0.01,) * q.size)


def _sample(power: float, structure_power: float = 0.0, **changes: object) -> list[SeriesRecord]:
    """Series whose relaxation rate and low-q scattering go with these powers of the transmission."""
    return [
        record(
            number,
            transmission=transmission,
            spot=Spot(100.0 * number, 0.0, 30.0, 20.0),
            rate=RelaxationRate(0.05, 2.0 * transmission**power * (1 + departure), 0.03, 2.0, 0.1),
            intensities=_intensities(structure_power * math.log(transmission)),
            **changes,
        )
        for number, (transmission, departure) in enumerate(zip(TRANSMISSIONS, DEPARTURES, strict=True), 1)
    ]


def test_motion_that_goes_with_the_beam_is_called_beam_driven() -> None:
    compared = across_series(_sample(1.0), "gel", "e4m")
    assert compared.is_beam_driven
    assert compared.motion is not None and compared.structure is not None
    assert compared.motion.power == pytest.approx(1.0, abs=0.05)
    assert not compared.structure.is_shown
    assert motion_words(compared) == (
        "The motion goes with the dose rate: beam-driven, not damage "
        f"(relaxation rate ~ dose rate^({compared.motion.power:.2f} ± {compared.motion.power_err:.2f}), 6 series)."
    )


def test_a_sample_that_does_not_care_is_told_so() -> None:
    compared = across_series(_sample(0.0), "gel", "e4m")
    assert not compared.is_beam_driven
    assert motion_words(compared).startswith("The motion does not go with the dose rate (")


def test_damage_and_beam_driven_motion_are_not_told_apart_where_both_may_be() -> None:
    records = [
        *_sample(1.0),
        record(7, verdict=VerdictState.DAMAGING, onset_exposure_s=5.0, intensities=_intensities()),
    ]
    compared = across_series(records, "gel", "e4m")
    assert (compared.damaged, compared.is_beam_driven) == (1, False)
    # The damaged series is shown but its numbers are no part of the test.
    assert [one.is_used for one in compared.series] == [True] * 6 + [False]
    assert compared.motion is not None and compared.motion.series == 6
    assert "but 1 series shows damage: the two mix here" in motion_words(compared)


def test_a_structure_that_goes_along_is_more_than_motion() -> None:
    compared = across_series(_sample(1.0, structure_power=0.3), "gel", "e4m")
    assert compared.structure is not None and compared.structure.is_shown
    assert compared.structure.power == pytest.approx(0.3, abs=0.03)
    assert not compared.is_beam_driven
    assert motion_words(compared).startswith("Motion and structure both go with the dose rate")


def test_slower_motion_at_a_higher_dose_rate_is_not_driven_by_the_beam() -> None:
    compared = across_series(_sample(-1.0), "gel", "e4m")
    assert not compared.is_beam_driven
    assert "gets slower with the dose rate" in motion_words(compared)


def test_too_few_series_are_not_enough() -> None:
    compared = across_series(_sample(1.0)[:2], "gel", "e4m")
    assert compared.motion is None and not compared.is_beam_driven
    assert motion_words(compared) == (
        "Whether the motion goes with the dose rate cannot be told yet: 3 series with a fitted relaxation rate and "
        "without a change are needed, 2 so far."
    )
    assert across_series([], "gel", "e4m").series == ()


def test_only_series_of_the_sample_and_detector_are_compared() -> None:
    records = [*_sample(1.0), record(7, sample="other"), record(8, detector="e500")]
    compared = across_series(records, "gel", "e4m")
    assert [one.record.series for one in compared.series] == [f"gel_{number:05d}" for number in range(1, 7)]


@pytest.mark.parametrize(
    ("changes", "kind", "rates"),
    [
        ({}, "gray", [100.0, 30.0, 10.0]),
        ({"gray_per_s": None}, "transmission", [1.0, 0.3, 0.1]),
    ],
)
def test_the_dose_rate_is_as_much_as_is_known(changes: dict, kind: str, rates: list[float]) -> None:
    compared = across_series(_sample(1.0, **changes)[:3], "gel", "e4m")
    assert compared.dose_rate_kind == kind
    assert [one.dose_rate for one in compared.series] == pytest.approx(rates)


def test_the_detector_stands_in_where_no_file_states_the_absorbers() -> None:
    records = [
        record(
            number, transmission=None, counts_per_s=counts, rate=RelaxationRate(0.05, counts, 0.03, 2.0, 0.1)
        )
        for number, counts in enumerate((8.0, 2.0, 4.0, 1.0), 1)
    ]
    compared = across_series(records, "gel", "e4m")
    assert compared.dose_rate_kind == "counts"
    assert compared.motion is not None
    assert compared.motion.power == pytest.approx(1.0)


def test_rates_are_compared_at_the_same_q() -> None:
    """Each series has its rate at another q, all follow Gamma = 800 q^2."""
    records = [
        record(number, transmission=t, rate=RelaxationRate(q, 800 * q**2, 0.03, 2.0, 0.05))
        for number, (t, q) in enumerate(((1.0, 0.03), (0.3, 0.05), (0.1, 0.08), (0.1, 0.04)), 1)
    ]
    compared = across_series(records, "gel", "e4m")
    assert compared.q_inv_nm == pytest.approx((0.03 * 0.05 * 0.08 * 0.04) ** 0.25)
    for one in compared.series:
        assert one.log_rate is not None
        assert one.log_rate[0] == pytest.approx(math.log(800 * compared.q_inv_nm**2))
        # What is carried over by an uncertain power is less sure.
        assert one.log_rate[1] > 0.03
    assert compared.motion is not None and compared.motion.power == pytest.approx(0.0, abs=1e-9)


def test_the_structure_is_that_of_the_q_all_series_have() -> None:
    """A ring more at the inner edge does not look like another structure."""
    records = [
        record(number, intensities=_intensities(first_q=first_q))
        for number, first_q in enumerate((0.02, 0.0205, 0.0212), 1)
    ]
    ratios = [one.log_structure for one in across_series(records, "gel", "e4m").series]
    assert None not in ratios
    # I ~ q^-2 and halves of a range of ln(0.08 / 0.0212): their means lie half of it apart, one point more.
    spacing = math.log(0.08 / 0.0212) / 15
    for ratio in ratios:
        assert ratio is not None
        assert ratio[0] == pytest.approx(2 * 8 * spacing, rel=1e-6)
        # Mean of each half over about six rings of 1 %.
        assert 0.004 < ratio[1] < 0.008


def test_a_series_without_numbers_is_shown_without_them() -> None:
    records = [
        *_sample(0.0),
        record(7, rate=None, intensities=None, spot=None, verdict=VerdictState.BAD_DATA),
    ]
    last = across_series(records, "gel", "e4m").series[-1]
    assert (last.log_rate, last.log_structure, last.dose, last.is_used) == (None, None, None, False)
