"""The parts of the example snapshots: image, curves and maps as a real sample would give them."""

from __future__ import annotations

import numpy as np

from backend.snapshot import AgeCuts, G2Part, ImagePart, IntensityPart, RingFit, TrendPart, TwoTimePart

FRAME_TIME_S = 0.01


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
        ages=age_cuts(rng, frames * FRAME_TIME_S, contrast, slowing),
    )


def age_cuts(rng: np.random.Generator, length_s: float, contrast: float, slowing: bool) -> AgeCuts:
    """Five bands; the last lags exist only at the highest ages."""
    edges_s = np.linspace(0, length_s, 6)
    lag_s = np.geomspace(FRAME_TIME_S, 0.8 * length_s, 40)
    age_s = 0.5 * (edges_s[1:] + edges_s[:-1])
    rate = 1.1 * np.exp(-np.clip(age_s - 16, 0, None) / 4) if slowing else np.full(5, 1.1)
    error = np.broadcast_to(0.004 * np.sqrt(1 + lag_s / 2), (5, lag_s.size))
    g2 = 1 + contrast * np.exp(-2 * rate[:, None] * lag_s) + error * rng.normal(size=(5, lag_s.size))
    reached = lag_s < edges_s[1:, None]
    return AgeCuts(
        first_s=edges_s[:-1],
        last_s=edges_s[1:],
        lag_s=lag_s,
        g2=np.where(reached, g2, np.nan),
        g2_err=np.where(reached, error, np.nan),
    )
