"""Snapshots as the backend would send them, for every state: realistic curves, detector gaps, error bars."""

from __future__ import annotations

import msgspec
import numpy as np
from example_parts import FRAME_TIME_S, g2_part, image_part, intensity_part, trend_part, two_time_part

from backend.snapshot import (
    BackendPart,
    ConfirmedG2Part,
    JobRow,
    Message,
    RunRow,
    SeriesPart,
    Snapshot,
    Verdict,
    VerdictState,
)

NOW = 1_790_000_000.0
EXPECTED = 4000
MISSING = {
    "image": "No frames yet. Waiting for the first data file of a series.",
    "g2": "Too early: g2 needs 64 frames, 12 are there.",
    "two_time": "Too early: the two-time map begins at 64 frames.",
    "intensity": "Too early: I(q) needs two windows of frames.",
    "trend": "Too early: the noise model needs 10 windows, 1 is there.",
}

_WORDS = {
    VerdictState.GOOD: ("Low-q ratio changed by 0.6 ± 0.5 %, limit 5 %.", "Go on."),
    VerdictState.WATCH: (
        "Low-q ratio changed by 3.4 ± 0.6 %, limit 5 %, q below 0.03 nm⁻¹.",
        "Shorten the next series or add one attenuator.",
    ),
    VerdictState.DAMAGING: (
        "Low-q ratio rose by 18.2 ± 0.7 %, limit 5 %, since frame 1 640.",
        "Move to a fresh spot and add an attenuator.",
    ),
    VerdictState.BAD_DATA: (
        "Speckle contrast is 0.004 ± 0.003, expected 0.15: the frames carry no speckle.",
        "Check slits and beam path; a bubble in the capillary looks like this.",
    ),
    VerdictState.TOO_EARLY: ("12 of 100 frames of the noise model are there.", "Wait; this is not GOOD yet."),
    VerdictState.NO_DATA: (
        "No frame for 14 s, one is expected every 0.01 s.",
        "Check the detector and the shutter.",
    ),
    VerdictState.IDLE: ("No series is running.", "Start a series; it is found by itself."),
}


def example(
    state: VerdictState = VerdictState.GOOD, *, rings: int = 20, detector: str = "e500", frames: int = 2600
) -> Snapshot:
    """A full snapshot in this state: ``rings`` rings, detector "e500" or "e4m"."""
    if state in (VerdictState.TOO_EARLY, VerdictState.IDLE):
        return _early(detector) if state is VerdictState.TOO_EARLY else empty()
    rng = np.random.default_rng(rings + frames)
    q = np.linspace(0.012, 0.115, rings)
    damaging = state is VerdictState.DAMAGING
    drift = {VerdictState.DAMAGING: 18.0, VerdictState.WATCH: 3.4}.get(state, 0.5)
    onset, interval = (1640, (1520, 1760)) if damaging else (None, None)
    contrast, (why, do) = 0.004 if state is VerdictState.BAD_DATA else 0.15, _WORDS[state]
    return Snapshot(
        sequence=frames,
        produced_at=NOW + 600,
        backend=_backend("running"),
        verdict=Verdict(
            state=state,
            why=why,
            do=do,
            series="latex_00042",
            family="structure",
            frame=frames,
            onset_frame=onset,
            onset_interval=interval,
            log10_evidence=9.2 if damaging else 0.3,
            also=("relaxation rate fell by 31 %, limit 20 %", "speckle contrast unchanged")
            if damaging
            else (),
        ),
        series=_series(detector, frames, NOW + (586 if state is VerdictState.NO_DATA else 599.6)),
        image=image_part(detector, q, rng, saturated=state is VerdictState.BAD_DATA),
        g2=g2_part(q, rng, frames, contrast),
        intensity=intensity_part(q, rng, frames, drift, contrast),
        trend=trend_part(rng, frames, drift, onset),
        two_time=two_time_part(q, rng, frames, contrast, damaging),
        selected_ring=min(3, rings - 1),
        runs=run_rows(state),
        jobs=job_rows(),
    )


def with_confirmed(snapshot: Snapshot, agreement: str = "confirmed") -> Snapshot:
    """The same with the result of a finished job; ``agreement`` is "confirmed" or "disputed"."""
    live = snapshot.g2
    assert live is not None
    shift = 0.0 if agreement == "confirmed" else 0.02
    confirmed = ConfirmedG2Part(
        job_id="j-0007",
        lag_s=live.lag_s,
        g2=live.fit_g2 if live.fit_g2.shape == live.g2.shape else live.g2 + shift,
        g2_err=live.g2_err,
        q_inv_nm=live.q_inv_nm,
        z_score=np.full(len(live.q_inv_nm), 0.8 if agreement == "confirmed" else 6.4),
        agreement=agreement,
    )
    return msgspec.structs.replace(snapshot, confirmed_g2=confirmed)


def with_messages(snapshot: Snapshot) -> Snapshot:
    """The same with an error and a warning from the backend."""
    messages = (
        Message(
            key="file:e4m_data_000017.h5",
            level="error",
            what="The file latex_00042_e4m_data_000017.h5 is cut short after 61 of 100 frames.\n\n"
            "OSError: truncated file: eof = 812032, sblock->base_addr = 0",
            still_works="All other files are analysed; the 39 frames are left out.",
            try_this="Copy the file again from the detector if it is still there.",
            at=NOW + 320,
        ),
        Message(
            key="centre",
            level="warning",
            what="Beam centre of master file and batchinfo differ by 2.0 px.",
            still_works="The centre of the master file is used.",
            try_this="Check the alignment before the next series.",
            at=NOW + 12,
        ),
    )
    return msgspec.structs.replace(snapshot, messages=messages)


def empty(
    waiting_for: str = "Waiting for a series in /gpfs/current/raw. The last file came 12 min ago.",
) -> Snapshot:
    """A snapshot without any series."""
    why, do = _WORDS[VerdictState.IDLE]
    return Snapshot(
        sequence=1,
        produced_at=NOW,
        backend=_backend("waiting", waiting_for),
        verdict=Verdict(state=VerdictState.IDLE, why=why, do=do),
        missing={"image": waiting_for},
    )


def _early(detector: str) -> Snapshot:
    rng = np.random.default_rng(1)
    q = np.linspace(0.012, 0.115, 20)
    why, do = _WORDS[VerdictState.TOO_EARLY]
    return Snapshot(
        sequence=12,
        produced_at=NOW + 600,
        backend=_backend("running"),
        verdict=Verdict(state=VerdictState.TOO_EARLY, why=why, do=do, series="latex_00042", frame=12),
        series=_series(detector, 12, NOW + 599.9),
        image=image_part(detector, q, rng),
        runs=run_rows(VerdictState.TOO_EARLY),
        missing={key: words for key, words in MISSING.items() if key != "image"},
    )


def _backend(phase: str, waiting_for: str = "Waiting for the next series.") -> BackendPart:
    return BackendPart(
        version="0.1.0",
        host="haspp10eval01",
        pid=4711,
        root="/gpfs",
        beamtime_id="11019999",
        beamtime_title="Ageing of latex gels",
        watching="/gpfs/current/raw",
        waiting_for=waiting_for,
        phase=phase,
        started_at=NOW,
    )


def _series(detector: str, frames: int, last_frame_at: float) -> SeriesPart:
    return SeriesPart(
        name="latex_00042",
        sample="latex",
        detector=detector,
        status="running",
        frames=frames,
        expected_frames=EXPECTED,
        frame_time_s=FRAME_TIME_S,
        frames_set_aside=14,
        started_at=NOW + 560,
        last_frame_at=last_frame_at,
        frames_per_s=100.0,
        photons_per_pixel=0.081,
    )


def run_rows(now: VerdictState) -> tuple[RunRow, ...]:
    """A night of series, the newest in this state."""
    past = [
        VerdictState.GOOD,
        VerdictState.GOOD,
        VerdictState.DAMAGING,
        VerdictState.WATCH,
        VerdictState.BAD_DATA,
    ]
    rows = [
        RunRow(
            series=f"latex_{37 + number:05d}",
            sample="latex",
            detector="e4m",
            started_at=NOW + 90.0 * number,
            frames=EXPECTED,
            expected_frames=EXPECTED,
            status="complete" if number != 4 else "incomplete",
            verdict=state,
            why=_WORDS[state][0],
            onset_frame=1640 if state is VerdictState.DAMAGING else None,
        )
        for number, state in enumerate(past)
    ]
    newest = RunRow(
        series="latex_00042",
        sample="latex",
        detector="e4m",
        started_at=NOW + 560,
        frames=2600,
        expected_frames=EXPECTED,
        status="running",
        verdict=now,
        why=_WORDS[now][0],
    )
    return (*rows, newest)


def job_rows() -> tuple[JobRow, ...]:
    """One job in every state."""
    return tuple(
        JobRow(
            job_id=f"j-{number:04d}",
            series=f"latex_{41 - number:05d}",
            recipe="xpcs",
            executor="local",
            state=state,
            reason=reason,
            submitted_at=NOW + 500 - number,
            started_at=None if state == "queued" else NOW + 505 - number,
            ended_at=NOW + 540 if state in ("done", "failed") else None,
            progress=0.47 if state == "running" else None,
            last_line="ValueError: mask has shape (512, 1028), the frames (514, 1030)"
            if state == "failed"
            else "",
            result_path="/gpfs/current/processed/latex_00038/xpcs.h5" if state == "done" else "",
            try_this="Choose the mask of this detector and run the job again." if state == "failed" else "",
        )
        for number, (state, reason) in enumerate(
            (
                ("queued", "waits for one job before it"),
                ("running", ""),
                ("failed", "exit code 1"),
                ("done", "result read back, g2 confirmed"),
                ("cancelled", "cancelled in the window"),
                ("unknown", "the scheduler does not answer"),
                ("submitted", "Waiting for free nodes."),
                ("parked", "Parked after 5 attempts. The cluster refused it."),
            )
        )
    )
