"""Snapshots as the backend would send them, for every state: realistic curves, detector gaps, error bars."""

from __future__ import annotations

import msgspec
import numpy as np

from backend.snapshot import (
    BackendPart,
    ConfirmedG2Part,
    G2Part,
    ImagePart,
    IntensityPart,
    JobRow,
    Message,
    RingFit,
    RunRow,
    SeriesPart,
    Snapshot,
    TrendPart,
    TwoTimePart,
    Verdict,
    VerdictState,
)

NOW = 1_790_000_000.0
FRAME_TIME_S = 0.01
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
    if state is VerdictState.TOO_EARLY:
        return _early(detector)
    if state is VerdictState.IDLE:
        return empty()
    rng = np.random.default_rng(rings + frames)
    q = np.linspace(0.012, 0.115, rings)
    damaging = state is VerdictState.DAMAGING
    drift = {VerdictState.DAMAGING: 18.0, VerdictState.WATCH: 3.4}.get(state, 0.5)
    onset = 1640 if damaging else None
    contrast = 0.004 if state is VerdictState.BAD_DATA else 0.15
    why, do = _WORDS[state]
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
            onset_interval=(1520, 1760) if damaging else None,
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


def image_part(
    detector: str, q: np.ndarray, rng: np.random.Generator, *, saturated: bool = False
) -> ImagePart:
    """Speckle on a form factor with module gaps, beam stop and a few bad pixels."""
    shape, binning = ((514, 1030), 1) if detector == "e500" else ((1083, 1035), 2)
    center = (shape[0] * 0.78, shape[1] * 0.47)
    rows, columns = np.indices(shape)
    radius = np.hypot(rows - center[0], columns - center[1])
    farthest = radius.max()
    mean = 4.0 * np.exp(-((radius / (0.25 * farthest)) ** 2)) + 2.0 / (1 + (radius / 25.0) ** 3) + 0.004
    counts = mean * rng.gamma(8.0, 1 / 8.0, shape)
    level_counts = np.concatenate([[0.0], np.geomspace(0.002, 6.0, 253)]).astype(np.float32)
    preview = np.searchsorted(level_counts, counts).clip(0, 253).astype(np.uint8)
    gap = 38 // binning
    half = shape[1] // 2
    preview[:, half - gap // 8 : half + gap // 8 + 1] = 255
    for row in range(514 // binning, shape[0], 551 // binning):
        preview[row : row + gap] = 255
    preview[radius < 14] = 255
    preview[rng.random(shape) < 2e-5] = 255
    if saturated:
        preview[(radius >= 14) & (radius < 24) & (rng.random(shape) < 0.6)] = 254
    step = 0.92 * farthest / (q[-1] if len(q) else 1.0)
    edges = (
        np.concatenate([[q[0] - (q[1] - q[0]) / 2], (q[1:] + q[:-1]) / 2, [q[-1] + (q[-1] - q[-2]) / 2]])
        * step
    )
    radii = np.stack([edges[:-1], edges[1:]], axis=1).astype(np.float32)
    return ImagePart(
        preview=preview,
        level_counts=level_counts,
        binning=binning,
        beam_center_yx=center,
        ring_radii=radii,
        q_inv_nm=q,
        frames=2600,
        masked_pixels=int((preview == 255).sum()) * binning**2,
        saturated_pixels=int((preview == 254).sum()),
    )


def g2_part(q: np.ndarray, rng: np.random.Generator, frames: int, contrast: float) -> G2Part:
    """Multi-tau g2 of a diffusing sample, error bars that grow towards long lags, and its fits."""
    lag = np.concatenate([np.arange(1, 9), *[np.arange(5, 9) * 2**level for level in range(1, 9)]]).astype(
        float
    )
    lag = lag[lag < frames]
    gamma = 24.0 * (q / q[-1]) ** 2
    decay = np.exp(-2 * gamma[:, None] * lag[None] * FRAME_TIME_S)
    err = 0.0016 * np.sqrt(1 + lag / 40)[None] * np.linspace(2.2, 0.8, len(q))[:, None]
    g2 = 1 + contrast * decay + rng.normal(size=decay.shape) * err
    points = np.geomspace(lag[0], lag[-1], 120)
    fits = tuple(
        RingFit(
            gamma_per_s=float(rate),
            gamma_err_per_s=float(rate) * 0.03,
            contrast=contrast,
            contrast_err=0.004,
            baseline=1.0,
            baseline_err=0.0005,
            exponent=1.0,
            exponent_err=0.05,
            reduced_chi2=1.02,
        )
        for rate in gamma
    )
    return G2Part(
        lag_s=lag * FRAME_TIME_S,
        g2=g2,
        g2_err=np.broadcast_to(err, g2.shape).copy(),
        q_inv_nm=q,
        frames=frames,
        fits=fits,
        fit_lag_s=points * FRAME_TIME_S,
        fit_g2=1 + contrast * np.exp(-2 * gamma[:, None] * points[None] * FRAME_TIME_S),
    )


def intensity_part(
    q: np.ndarray, rng: np.random.Generator, frames: int, drift: float, contrast: float
) -> IntensityPart:
    """I(q) of a form factor, with a rise at low q by ``drift`` percent."""
    fine = np.linspace(q[0], q[-1], 6 * len(q))
    first = 0.6 * np.exp(-((fine / 0.03) ** 2)) + 0.002 / (fine / q[0]) ** 2 + 0.0015
    rise = 1 + drift / 100 * np.exp(-((fine / 0.025) ** 2))
    frame = np.arange(0, frames, 10)
    beam = 0.081 * (1 + 0.01 * rng.normal(size=frame.size))
    beam[90:97] = 0.002
    return IntensityPart(
        q_inv_nm=fine,
        first=first * (1 + 0.004 * rng.normal(size=fine.size)),
        now=first * rise * (1 + 0.004 * rng.normal(size=fine.size)),
        first_frames=(0, 400),
        now_frames=(frames - 200, frames),
        frame=frame,
        photons_per_pixel=beam,
        ring_contrast=np.full(len(q), contrast),
        ring_contrast_err=np.full(len(q), 0.004),
    )


def trend_part(rng: np.random.Generator, frames: int, drift: float, onset: int | None) -> TrendPart:
    """A change that grows from the onset (or all along) with its evidence."""
    frame = np.arange(400, frames, 20)
    begin = 400 if onset is None else onset
    grown = drift * np.clip((frame - begin) / max(frames - begin, 1), 0, None)
    effect = grown + 0.5 * rng.normal(size=frame.size)
    evidence = np.cumsum(np.clip(grown - 1.5, -0.05, 3) * 0.12)
    return TrendPart(
        label="structure",
        frame=frame,
        dose=frame * 2.4e3,
        dose_unit="s·transmission",
        effect_percent=effect,
        effect_err_percent=np.full(frame.size, 0.6),
        tolerance_percent=5.0,
        log10_evidence=evidence,
        log10_alarm=4.6,
        onset_frame=onset,
        onset_interval=None if onset is None else (onset - 120, onset + 120),
        families={"structure": effect, "dynamics": -0.5 * effect, "contrast": 0.1 * effect},
        tolerances_percent={"structure": 5.0, "dynamics": 20.0, "contrast": 10.0},
    )


def two_time_part(
    q: np.ndarray, rng: np.random.Generator, frames: int, contrast: float, slowing: bool
) -> TwoTimePart:
    """A stripe along the diagonal that widens when the dynamics slow down."""
    bins = 256
    time = np.arange(bins) * frames * FRAME_TIME_S / bins
    age = 0.5 * (time[:, None] + time[None])
    rate = 1.1 * (np.exp(-np.clip(age - 16, 0, None) / 4) if slowing else np.ones_like(age))
    values = 1 + contrast * np.exp(-2 * rate * np.abs(time[:, None] - time[None]))
    values = values + 0.012 * rng.normal(size=values.shape)
    values = np.float32(0.5) * (values + values.T).astype(np.float32)
    np.fill_diagonal(values, np.nan)
    return TwoTimePart(
        ring=min(3, len(q) - 1),
        q_inv_nm=float(q[min(3, len(q) - 1)]),
        values=values,
        frames_per_bin=max(1, frames // bins),
        bin_time_s=frames * FRAME_TIME_S / bins,
        low=1.0,
        high=1.0 + max(contrast, 0.02),
        pixel_fraction=0.42,
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
            )
        )
    )
