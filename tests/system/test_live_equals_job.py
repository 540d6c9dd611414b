"""The same series live, as a job, by hand and replayed: the same numbers to the last digit."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from program import START_S, Program, program_in
from recorded_detector import RecordedDetector, RecordedSeries

from backend.simulation.beamtime_tree import write_beamtime_skeleton
from backend.snapshot import Snapshot

pytestmark = pytest.mark.system

G2 = "/xpcs/multitau/normalized_g2"
G2_ERR = "/xpcs/multitau/normalized_g2_err"
LAGS = "/xpcs/multitau/delay_list"
QMAP = "/xpcs/qmap/dynamic_roi_map"


class FourWays:
    """One series analysed live and by its job, by hand, and replayed."""

    def __init__(self, program: Program, series: RecordedSeries) -> None:
        raw = write_beamtime_skeleton(program.root) / "raw"
        program.start_backend()
        detector = RecordedDetector(raw, series)
        detector.begin()
        with program.listen() as listener:
            detector.write(5)
            listener.until(
                lambda seen: seen.series is not None and seen.series.frames == 50, START_S, "50 frames"
            )
            detector.finish()
            self.live: Snapshot = listener.until(
                lambda seen: bool(seen.jobs) and seen.jobs[0].state in ("done", "failed"),
                START_S,
                "the job is over",
            )
        (self.job,) = self.live.jobs
        master = str(detector.path_of(series.master))
        self.by_hand = program.folder / "by-hand.h5"
        correlated = program.run("correlate", master, "--to", str(self.by_hand))
        assert correlated.process.returncode == 0, correlated.error
        replayed = program.run("replay", str(detector.folder), "--json")
        assert replayed.process.returncode == 0, replayed.error
        self.replay: dict[str, Any] = json.loads(replayed.output.splitlines()[-1])


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory, long_recording: RecordedSeries) -> Iterator[FourWays]:
    with program_in(tmp_path_factory.mktemp("p")) as program:
        yield FourWays(program, long_recording)


def _arrays(file: Path) -> dict[str, np.ndarray]:
    with h5py.File(file) as result:
        return {path: result[path][()] for path in (G2, G2_ERR, LAGS, QMAP)}


def test_the_job_ended_well_and_confirms_the_live_curve(ways: FourWays) -> None:
    assert ways.job.state == "done", ways.job.reason
    confirmed = ways.live.confirmed_g2
    assert confirmed is not None and confirmed.agreement == "confirmed"
    assert float(np.nanmax(confirmed.z_score)) < 1e-6


def test_the_result_of_the_job_is_that_of_the_command(ways: FourWays) -> None:
    by_job, by_hand = _arrays(Path(ways.job.result_path)), _arrays(ways.by_hand)
    for path, values in by_hand.items():
        np.testing.assert_array_equal(by_job[path], values, err_msg=path)


def test_the_live_g2_is_that_of_the_result(ways: FourWays) -> None:
    live = ways.live.g2
    assert live is not None and ways.live.series is not None
    frame_time_s = ways.live.series.frame_time_s
    assert frame_time_s is not None
    stored = _arrays(ways.by_hand)
    row_of_lag = {int(lag): row for row, lag in enumerate(stored[LAGS])}
    rows = [row_of_lag[round(lag_s / frame_time_s)] for lag_s in live.lag_s]
    assert len(rows) > 20
    np.testing.assert_allclose(live.g2, stored[G2][rows].T, rtol=1e-9)
    np.testing.assert_allclose(live.g2_err, stored[G2_ERR][rows].T, rtol=1e-9)
    assert int(stored[QMAP].max()) == len(live.q_inv_nm)


def test_the_live_fits_are_those_of_the_replay(ways: FourWays) -> None:
    live = ways.live.g2
    assert live is not None
    fits = ways.replay["fits"]
    assert len(fits) == len(live.fits) == len(live.q_inv_nm)
    compared = 0
    for q_inv_nm, here, there in zip(live.q_inv_nm, live.fits, fits, strict=True):
        assert there["q_inv_nm"] == pytest.approx(q_inv_nm, rel=1e-12)
        if here is None:
            assert there["fit"] is None
            continue
        for name, value in there["fit"].items():
            if value is not None and math.isfinite(value):
                assert getattr(here, name) == pytest.approx(value, rel=1e-6), name
                compared += 1
    assert compared > 4 * len(fits)


def test_the_fits_are_those_of_the_truth(ways: FourWays, long_recording: RecordedSeries) -> None:
    truth = json.loads((long_recording.folder / "truth.json").read_text())
    diffusion_nm2_per_s = truth["relaxation"]["diffusion_nm2_per_s"]
    deviations = []
    for entry in ways.replay["fits"]:
        fit = entry["fit"]
        true_gamma_per_s = diffusion_nm2_per_s * entry["q_inv_nm"] ** 2
        if fit is not None and math.isfinite(fit["gamma_err_per_s"]) and fit["gamma_err_per_s"] > 0:
            deviations.append((fit["gamma_per_s"] - true_gamma_per_s) / fit["gamma_err_per_s"])
    assert len(deviations) > 10
    assert abs(float(np.median(deviations))) < 1.5
    assert float(np.median(np.abs(deviations))) < 2.0
