"""The dose that is told bends where the beam does; what the channels say never depends on a monitor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ring_streams import StreamPlan, detector_for, ring_stream

from backend.damage.assessment import Assessment

FRAMES = 300
DOSE = np.arange(1.0, FRAMES + 1)


def _judged(
    plan: StreamPlan, monitor: np.ndarray | None = None, cuts: tuple[int, ...] = ()
) -> list[Assessment]:
    stream = ring_stream(plan, 31)
    detector = detector_for(stream)
    said: list[Assessment] = []
    for part in np.split(np.arange(FRAMES), sorted(cuts)):
        of_part = None if monitor is None else monitor[part]
        said += detector.add(stream.counts[part], stream.products[part], DOSE[part], None, of_part)
    return said


def _plan(beam: np.ndarray) -> StreamPlan:
    return StreamPlan(frames=FRAMES, pixels=800, photons_per_pixel=0.4, beam=beam)


def test_a_steady_beam_gives_the_exposure() -> None:
    said = _judged(_plan(1 + 0.03 * np.sin(np.arange(FRAMES) / 20)))
    assert [a.taken for a in said] == [a.dose for a in said]


@pytest.mark.parametrize(("factor", "slope"), [(0.1, 0.1), (0.0, 0.0), (0.5, 0.5), (3.0, 3.0), (0.85, 1.0)])
def test_an_absorber_or_lost_beam_bends_the_dose(factor: float, slope: float) -> None:
    """What is no step for sure, such as 15 %, may be the sample: it counts as full beam."""
    said = _judged(_plan(np.where(np.arange(FRAMES) < 150, 1.0, factor)))
    for a in said:
        expected = min(a.frame + 1, 150) + slope * max(a.frame - 149, 0)
        assert a.taken == pytest.approx(expected, rel=0.02)


def test_beam_that_comes_late_counts_from_then_on() -> None:
    said = _judged(_plan(np.where(np.arange(FRAMES) < 50, 0.0, 1.0)))
    assert [a.taken for a in said] == pytest.approx([max(a.frame - 49.0, 0.0) for a in said])


def test_damage_of_some_rings_is_no_stronger_beam() -> None:
    structure = np.ones((FRAMES, 6))
    structure[100:, :2] = 3.0
    said = _judged(replace(_plan(np.ones(FRAMES)), structure=structure))
    assert said[-1].taken == FRAMES


def test_a_monitor_is_weighed_in_full_and_no_channel_looks_at_it() -> None:
    beam = 1 + 0.2 * np.sin(np.arange(FRAMES) / 15)
    without, with_monitor = _judged(_plan(beam)), _judged(_plan(beam), 80 * beam)
    reference = float(np.median([beam[first : first + 10].mean() for first in range(0, 100, 10)]))
    assert with_monitor[-1].taken == pytest.approx(beam.sum() / reference, rel=0.03)
    assert with_monitor[-1].taken != without[-1].taken
    assert [replace(a, taken=0.0, onset_taken=None, limit_taken=None) for a in without] == [
        replace(a, taken=0.0, onset_taken=None, limit_taken=None) for a in with_monitor
    ]


def test_a_monitor_before_the_absorber_does_not_hide_it() -> None:
    """The ring current goes on while the absorber is in."""
    beam = np.where(np.arange(FRAMES) < 150, 1.0, 0.1)
    said = _judged(_plan(beam), np.full(FRAMES, 100.0))
    assert said[-1].taken == pytest.approx(165, rel=0.02)


@settings(max_examples=6, deadline=None)
@given(st.sets(st.integers(1, FRAMES - 1), max_size=6))
def test_the_cut_into_calls_does_not_matter(cuts: set[int]) -> None:
    beam = np.where(np.arange(FRAMES) < 140, 1.0, 0.3)
    monitor = np.where(np.arange(FRAMES) % 7 == 0, np.nan, 5 * beam)
    assert _judged(_plan(beam), monitor, tuple(cuts)) == _judged(_plan(beam), monitor)


def test_frames_that_never_came_count_as_before() -> None:
    stream = ring_stream(_plan(np.ones(FRAMES)), 31)
    came = np.ones(FRAMES, bool)
    came[100:130] = False
    detector = detector_for(stream)
    valid = np.broadcast_to(stream.pixels * came[:, None], stream.counts.shape)
    detector.add(stream.counts * came[:, None], stream.products * came[:, None, None], DOSE, valid)
    assert detector.taken.at(FRAMES - 1) == FRAMES
    assert detector.taken.at(104) == pytest.approx(105)
    assert detector.taken.at(FRAMES + 19) == pytest.approx(FRAMES + 20)


@pytest.mark.parametrize("known_after", [0, 7, 150, FRAMES])
def test_a_monitor_that_comes_late_tells_all_doses_anew(known_after: int) -> None:
    """Whenever it comes, all that is told is what a detector tells that knew it from the first frame on."""
    beam = 1 + 0.2 * np.sin(np.arange(FRAMES) / 15)
    stream = ring_stream(_plan(beam), 31)
    detector = detector_for(stream)
    early, late = slice(0, known_after), slice(known_after, FRAMES)
    detector.add(stream.counts[early], stream.products[early], DOSE[early])
    detector.know_monitor(80 * beam)
    detector.add(stream.counts[late], stream.products[late], DOSE[late])
    assert detector.assessments == _judged(_plan(beam), 80 * beam)


def test_a_monitor_shorter_than_the_series_counts_as_far_as_it_goes() -> None:
    stream = ring_stream(_plan(np.ones(FRAMES)), 31)
    detector = detector_for(stream)
    detector.add(stream.counts, stream.products, DOSE)
    detector.know_monitor(np.where(np.arange(200) < 100, 1.0, 0.8))
    assert detector.taken.at(199) == pytest.approx(180) and not detector.taken.by_monitor
    assert detector.taken.at(FRAMES - 1) == pytest.approx(280)
