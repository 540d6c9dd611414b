"""Fits in the background: newest first, never waited for, faults told, the last ones made afresh."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
from speckle_rings import rings_result

from backend import ring_fits
from backend.correlation.kww_fit import FittedRings, fit_all_rings
from backend.correlation.lag_covariance import RingStatistics
from backend.correlation.multitau import MultiTauResult
from backend.ring_fits import FinishedFits, RingFits
from backend.settings import CorrelationSettings

Q_INV_NM = 0.02 * 1.2 ** np.arange(4)
RATES = 0.05 * 1.44 ** np.arange(4)
EARLY = rings_result(RATES, 1, frames=100)
LATE = rings_result(RATES, 1, frames=400)
SETTINGS = CorrelationSettings()


def new_fits() -> RingFits:
    return RingFits(1.0, Q_INV_NM, SETTINGS)


def after(frames: int) -> RingStatistics:
    return RingStatistics(np.full(4, 480), np.full(4, 0.3), frames)


def until(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < end
        threading.Event().wait(0.005)


class HeldFit:
    """The real fit, which waits at its door until it is let through; remembers what it was given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entered, self.door = threading.Semaphore(0), threading.Semaphore(0)
        self.given: list[MultiTauResult] = []
        monkeypatch.setattr(ring_fits, "fit_all_rings", self)

    def __call__(self, result: MultiTauResult, *rest: object) -> FittedRings:
        self.given.append(result)
        self.entered.release()
        assert self.door.acquire(timeout=20)
        return fit_all_rings(result, *rest)  # type: ignore[arg-type]


def test_fits_come_after_a_while_and_stay() -> None:
    fits = new_fits()
    assert fits.newest is None
    assert fits.submit(EARLY, after(100)) is None
    until(lambda: fits.newest is not None)
    found = fits.submit(EARLY, after(100))
    assert found is not None and found.frames == 100
    assert found.rings.fits == fit_all_rings(EARLY, 1.0, SETTINGS, Q_INV_NM, (), after(100)).fits
    assert found.law is not None and found.law.frames == 100
    fits.close()


def test_a_fit_in_work_is_not_waited_for_and_the_newest_g2_is_next(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = HeldFit(monkeypatch)
    fits = new_fits()
    fits.submit(EARLY, after(100))
    assert fit.entered.acquire(timeout=20)
    begin = time.monotonic()
    for frames in (200, 300):
        assert fits.submit(EARLY, after(frames)) is None
    assert fits.submit(LATE, after(400)) is None
    assert time.monotonic() - begin < 1.0
    fit.door.release(2)
    until(lambda: fits.newest is not None and fits.newest.frames == 400)
    assert fit.given == [EARLY, LATE]
    fits.close()


def test_the_same_frames_are_fitted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = HeldFit(monkeypatch)
    fit.door.release(10)
    fits = new_fits()
    fits.submit(EARLY, after(100))
    until(lambda: fits.newest is not None)
    fits.submit(EARLY, after(100))
    fits.close()
    assert len(fit.given) == 1


def test_the_last_fits_do_not_depend_on_earlier_ones() -> None:
    followed, fresh = new_fits(), new_fits()
    followed.submit(EARLY, after(100))
    until(lambda: followed.newest is not None)
    followed.submit(LATE, after(400))
    until(lambda: followed.newest is not None and followed.newest.frames == 400)
    last, alone = followed.final(LATE, after(400)), fresh.final(LATE, after(400))
    assert last.rings.fits == alone.rings.fits
    assert last.law == alone.law
    assert followed.final(LATE, after(400)) is last


def test_nothing_is_left_running_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = HeldFit(monkeypatch)
    before = threading.active_count()
    fits = new_fits()
    fits.submit(EARLY, after(100))
    assert fit.entered.acquire(timeout=20)
    fits.submit(EARLY, after(200))
    fit.door.release()
    fits.close()
    fits.close()
    assert threading.active_count() == before
    assert len(fit.given) == 1
    assert fits.newest is not None and fits.newest.frames == 100


def test_a_fault_is_told_once_and_the_next_fit_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_rest: object) -> FittedRings:
        raise FloatingPointError("no fit today")

    monkeypatch.setattr(ring_fits, "fit_all_rings", broken)
    fits = new_fits()
    fits.submit(EARLY, after(100))
    told: list[str] = []

    def tell() -> bool:
        try:
            fits.submit(EARLY, after(100))
        except FloatingPointError as fault:
            told.append(str(fault))
        return bool(told)

    until(tell)
    monkeypatch.undo()
    assert fits.submit(LATE, after(400)) is None
    until(lambda: fits.newest is not None)
    assert told == ["no fit today"]
    found: FinishedFits = fits.final(LATE, after(400))
    assert found.frames == 400
