"""Fits on their way into snapshots: never waited for while a series runs, complete and afresh when it has ended."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from speckle_series import SETTINGS, batch_of, series_info, speckle_frames

from backend import ring_fits
from backend.correlation.kww_fit import FittedRings, fit_all_rings
from backend.frames import SeriesEnded
from backend.publish.status import status_of
from backend.series_run import SeriesRun
from backend.settings_in_use import SettingsInUse
from backend.snapshot import G2Part, Snapshot
from backend.snapshot_bytes import decode_snapshot, encode_snapshot
from backend.snapshot_composer import SnapshotComposer

FRAMES = speckle_frames(150, seed=9)


def compose(composer: SnapshotComposer, run: SeriesRun) -> Snapshot:
    return composer.compose(run, phase="measuring")


def g2_in(snapshot: Snapshot) -> G2Part:
    assert snapshot.g2 is not None
    return snapshot.g2


def begun() -> tuple[SnapshotComposer, SeriesRun]:
    run = SeriesRun(series_info(len(FRAMES)), SETTINGS)
    composer = SnapshotComposer(Path("/gpfs"), SettingsInUse(SETTINGS, None))
    composer.new_series(run.info, time.time())
    run.add(batch_of(FRAMES[:100]))
    return composer, run


def test_a_snapshot_does_not_wait_for_fits_and_shows_them_when_they_are_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    door = threading.Event()

    def held(*given: object) -> FittedRings:
        assert door.wait(timeout=30)
        return fit_all_rings(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(ring_fits, "fit_all_rings", held)
    composer, run = begun()
    first = g2_in(compose(composer, run))
    assert (first.fits, first.fit_frames, first.rate_law) == ((), 0, None)
    assert first.fit_g2.shape == (0, first.fit_lag_s.size)
    door.set()
    # No frame comes any more: the fits alone are a reason to make the parts anew.
    end = time.monotonic() + 30
    while (part := g2_in(compose(composer, run))).fit_frames == 0:
        assert time.monotonic() < end
        threading.Event().wait(0.02)
    assert part.fit_frames == 100
    assert len(part.fits) == len(part.fit_reasons) == len(part.fit_g2) == len(part.q_inv_nm)
    run.break_off()


def test_the_fits_of_an_ended_series_are_those_of_all_its_frames() -> None:
    composer, run = begun()
    compose(composer, run)
    run.add(batch_of(FRAMES[100:], 100))
    run.end(SeriesEnded(run.info.name, True, len(FRAMES), ""))
    composer.series_changed()
    part = g2_in(compose(composer, run))
    assert part.fit_frames == 150
    alone = SeriesRun(series_info(len(FRAMES)), SETTINGS)
    alone.add(batch_of(FRAMES))
    alone.end(SeriesEnded(alone.info.name, True, len(FRAMES), ""))
    result = alone.analysis.g2()
    assert result is not None
    fresh = alone.analysis.fitted(result)
    assert fresh is not None
    assert part.fits == fresh.rings.fits
    assert part.rate_law == fresh.law
    again = g2_in(compose(composer, run))
    assert again is part


def test_the_status_gives_the_rate_law_and_why_a_ring_has_no_fit() -> None:
    composer, run = begun()
    run.add(batch_of(FRAMES[100:], 100))
    run.end(SeriesEnded(run.info.name, True, len(FRAMES), ""))
    snapshot = compose(composer, run)
    status = status_of(snapshot)
    assert status["fit_reasons"] == list(g2_in(snapshot).fit_reasons)
    law = g2_in(snapshot).rate_law
    assert law is not None
    travelled = g2_in(decode_snapshot(encode_snapshot(snapshot)))
    assert (travelled.rate_law, travelled.fit_reasons, travelled.fit_frames) == (
        law,
        g2_in(snapshot).fit_reasons,
        150,
    )
    assert status["rate_law"]["q_power"] == law.q_power
    # One rate for all rings: it does not go with q, and the law of diffusion has to say so.
    assert abs(law.q_power) < 4 * law.q_power_err
    assert law.diffusion_reduced_chi2 > 2
    rates = [fit.gamma_per_s for fit in g2_in(snapshot).fits if fit is not None]
    assert np.median(rates) == pytest.approx(1 / (8 * 0.02), rel=0.2)
