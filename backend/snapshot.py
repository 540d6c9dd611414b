"""The frozen picture of "now" that every view, the status file and remote clients see.

Any view can be drawn from the newest snapshot alone. A part that has too little data is ``None`` and
``missing[part]`` says why. Arrays are read-only. The verdict is in it, so no view computes one.
"""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np

from backend.snapshot_across import SamplePart, SpotPart
from backend.snapshot_verdict import Verdict, VerdictState

SCHEMA_VERSION = 1


class SeriesPart(msgspec.Struct, frozen=True, kw_only=True):
    """The series that is shown; its ``status`` is "running", "being read again", "complete" or "incomplete".

    ``beam``: incident beam now over that of the first windows, ``beam_by_monitor`` if a monitor has told it, else only
    steps of the scattering count; ``None`` before the first window.
    """

    name: str
    sample: str
    detector: str
    status: str
    frames: int
    expected_frames: int | None
    frame_time_s: float | None
    frames_set_aside: int = 0
    frames_missing: int = 0
    started_at: float | None = None
    last_frame_at: float | None = None
    frames_per_s: float | None = None
    photons_per_pixel: float | None = None
    beam: float | None = None
    beam_by_monitor: bool = False
    folder: str = ""


class ImagePart(msgspec.Struct, frozen=True, kw_only=True):
    """Running mean image, ready to draw.

    Attributes
    ----------
    preview : ndarray, shape (y, x), uint8
        0 = zero counts ... 253 = highest; ``254`` = saturated in at least one frame, ``255`` = masked.
    level_counts : ndarray, shape (254,), float32
        Mean counts per detector pixel and frame that each grey level stands for (logarithmic after level 0).
    binning : int
        Detector pixels per preview pixel and axis.
    beam_center_yx : tuple of float
        Zero-based, in preview pixels.
    ring_radii : ndarray, shape (ring, 2), float32
        Inner and outer radius of each q ring in preview pixels.
    """

    preview: np.ndarray
    level_counts: np.ndarray
    binning: int
    beam_center_yx: tuple[float, float]
    ring_radii: np.ndarray
    q_inv_nm: np.ndarray
    frames: int
    masked_pixels: int
    saturated_pixels: int


class RingFit(msgspec.Struct, frozen=True, kw_only=True):
    """Fit of g2 = baseline + contrast * exp(-2 (gamma lag)^exponent) for one ring; errors are one sigma."""

    gamma_per_s: float
    gamma_err_per_s: float
    contrast: float
    contrast_err: float
    baseline: float
    baseline_err: float
    exponent: float
    exponent_err: float
    reduced_chi2: float


class RateLaw(msgspec.Struct, frozen=True, kw_only=True):
    """How the rates of the fitted rings go with q; errors are one sigma.

    ``diffusion_nm2_per_s``: D of Gamma = D q^2. ``q_power``: n of Gamma = Gamma_pivot (q / q_pivot)^n.
    ``*_reduced_chi2`` far above one: the rings do not follow this law. ``exponent``: mean stretching exponent.
    """

    frames: int
    rings: int
    diffusion_nm2_per_s: float
    diffusion_err_nm2_per_s: float
    diffusion_reduced_chi2: float
    q_power: float
    q_power_err: float
    power_reduced_chi2: float
    pivot_q_inv_nm: float
    pivot_rate_per_s: float
    pivot_rate_err_per_s: float
    exponent: float
    exponent_err: float


class G2Part(msgspec.Struct, frozen=True, kw_only=True):
    """Live g2 of all rings.

    ``lag_s``: shape (lag,); ``g2``, ``g2_err``: shape (ring, lag), nan where no pairs exist yet;
    ``q_inv_nm``: shape (ring,). ``fits`` has one entry per ring, ``None`` where a fit is not possible.
    ``fit_lag_s``: shape (point,); ``fit_g2``: shape (ring, point), nan where there is no fit.
    ``fit_reasons``: one per ring, why it has no fit, empty where it has one. ``fit_frames``: frames the fits are made
    of; fits are made in the background and may be older than g2. ``rate_law``: ``None`` below three fitted rings.
    """

    lag_s: np.ndarray
    g2: np.ndarray
    g2_err: np.ndarray
    q_inv_nm: np.ndarray
    frames: int
    fits: tuple[RingFit | None, ...] = ()
    fit_lag_s: np.ndarray = msgspec.field(default_factory=lambda: np.empty(0))
    fit_g2: np.ndarray = msgspec.field(default_factory=lambda: np.empty((0, 0)))
    fit_reasons: tuple[str, ...] = ()
    fit_frames: int = 0
    rate_law: RateLaw | None = None


class ConfirmedG2Part(msgspec.Struct, frozen=True, kw_only=True):
    """g2 of the same series from a finished job, to be drawn over the live one.

    ``z_score``: shape (ring,), root-mean-square difference to the live g2 in units of the combined error.
    ``agreement``: "confirmed" or "disputed".
    """

    job_id: str
    lag_s: np.ndarray
    g2: np.ndarray
    g2_err: np.ndarray
    q_inv_nm: np.ndarray
    z_score: np.ndarray
    agreement: str


class IntensityPart(msgspec.Struct, frozen=True, kw_only=True):
    """I(q) of the first frames and now (photons per pixel and frame), and I(t) over the whole image.

    ``q_inv_nm``, ``first``, ``now``: shape (q,); ``frame``, ``photons_per_pixel``: shape (point,);
    ``ring_contrast``, ``ring_contrast_err``: shape (ring,), speckle contrast of single frames. ``cormap_p``: p-value of
    CorMap for both I(q) being the same, to look at; ``None`` without freesas or before frames follow the first ones.
    """

    q_inv_nm: np.ndarray
    first: np.ndarray
    now: np.ndarray
    first_frames: tuple[int, int]
    now_frames: tuple[int, int]
    frame: np.ndarray
    photons_per_pixel: np.ndarray
    ring_contrast: np.ndarray
    ring_contrast_err: np.ndarray
    cormap_p: float | None = None


class TrendPart(msgspec.Struct, frozen=True, kw_only=True):
    """The damage indicator over the series, one point per window of frames.

    ``frame``: last frame of each window; ``effect_percent``, ``effect_err_percent``: shape (window,), change of the
    leading quantity (``label``) against the start, one sigma; ``log10_evidence``: shape (window,).
    ``families``: effect per family, each shape (window,), in percent. ``dose``: shape (window,), in
    ``dose_unit``: gray with a prefix, or where that is not known seconds of exposure weighted by transmission.
    """

    label: str
    frame: np.ndarray
    dose: np.ndarray
    dose_unit: str
    effect_percent: np.ndarray
    effect_err_percent: np.ndarray
    tolerance_percent: float
    log10_evidence: np.ndarray
    log10_alarm: float
    onset_frame: int | None = None
    onset_interval: tuple[int, int] | None = None
    families: dict[str, np.ndarray] = {}
    tolerances_percent: dict[str, float] = {}


class AgeCuts(msgspec.Struct, frozen=True, kw_only=True):
    """g2 of one ring in bands of ages, over all its pixels: of the pairs of frames whose later one lies in the band.

    ``first_s``, ``last_s``: shape (band,), edges of the bands; ``lag_s``: shape (lag,); ``g2``, ``g2_err``: shape
    (band, lag), nan where a band has no pairs, one sigma.
    """

    first_s: np.ndarray
    last_s: np.ndarray
    lag_s: np.ndarray
    g2: np.ndarray
    g2_err: np.ndarray


class TwoTimePart(msgspec.Struct, frozen=True, kw_only=True):
    """Two-time correlation of the selected ring.

    ``values``: shape (t1, t2), float32, g2 at equal age axes, diagonal nan; one bin is ``frames_per_bin`` frames.
    ``low``, ``high``: colour range (baseline to baseline plus contrast). ``pixel_fraction``: share of ring used.
    ``ages``: cuts at a few ages; ``None`` before there are two, and where frames are not evenly spaced.
    """

    ring: int
    q_inv_nm: float
    values: np.ndarray
    frames_per_bin: int
    bin_time_s: float
    low: float
    high: float
    pixel_fraction: float
    ages: AgeCuts | None = None


class PixelsPart(msgspec.Struct, frozen=True, kw_only=True):
    """Pixels in q rings that do not belong there, after ``frames`` frames; they still count in g2.

    ``worst_yx``: shape (shown, 2), row and column of hot pixels, the worst first; ``worst_photons``,
    ``worst_expected``: shape (shown,), what they counted and what good pixels at their q did. ``ring_share``: shape
    (ring,), share of the photons of each ring that its hot pixels hold.
    """

    frames: int
    hot: int
    flashing: int
    dead: int
    worst_yx: np.ndarray
    worst_photons: np.ndarray
    worst_expected: np.ndarray
    ring_share: np.ndarray


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the run table."""

    series: str
    sample: str
    detector: str
    started_at: float | None
    frames: int
    expected_frames: int | None
    status: str
    verdict: VerdictState
    why: str
    onset_frame: int | None = None


class RecipeRow(msgspec.Struct, frozen=True, kw_only=True):
    """A recipe that a person may choose; ``runs`` when it runs by itself for every coming series.

    ``problem`` says why it cannot run, "" when it can.
    """

    name: str
    title: str
    description: str
    executor: str
    runs: bool
    problem: str = ""


class JobOutput(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a job, or its ``task``, left; how to show it: ``kind`` as in a recipe, ``y`` drawn over ``x``."""

    path: str
    kind: str
    title: str = ""
    x: str = ""
    y: tuple[str, ...] = ()
    task: int | None = None


class JobRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the job table.

    ``state``: "queued", "submitted", "running", "done", "failed", "cancelled", "unknown" or "parked"; ``reason``
    explains it in words. ``result_path`` and ``outputs`` are there once they are checked.
    """

    job_id: str
    series: str
    recipe: str
    executor: str
    state: str
    reason: str
    submitted_at: float
    started_at: float | None = None
    ended_at: float | None = None
    progress: float | None = None
    last_line: str = ""
    result_path: str = ""
    try_this: str = ""
    outputs: tuple[JobOutput, ...] = ()


class JumpHost(msgspec.Struct, frozen=True, kw_only=True):
    """A host that another one is reached through: whom to log in as there, with which key."""

    host: str
    port: int
    user: str
    key_file: str


class UntrustedHost(msgspec.Struct, frozen=True, kw_only=True):
    """A host that jobs wait for because its key was never approved, and the file that approved keys are kept in.

    ``jump`` is the host to go through where it cannot be reached directly.
    """

    host: str
    port: int
    known_hosts: str
    jump: JumpHost | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A line for the message bar; ``error`` and ``warning`` stay until solved or acknowledged."""

    key: str
    level: Literal["info", "warning", "error"]
    what: str
    still_works: str = ""
    try_this: str = ""
    at: float = 0.0
    count: int = 1
    acknowledged: bool = False


class BackendPart(msgspec.Struct, frozen=True, kw_only=True):
    """Who speaks: process, version, what it watches, hash of the settings that its verdicts are made with."""

    version: str
    host: str
    pid: int
    root: str
    beamtime_id: str
    beamtime_title: str
    watching: str
    waiting_for: str
    phase: str
    started_at: float
    backlog_frames: int = 0
    fraction_of_frames_used: float = 1.0
    settings_file: str = ""
    settings_sha256: str = ""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a window needs, complete and immutable."""

    sequence: int
    produced_at: float
    backend: BackendPart
    verdict: Verdict
    schema: int = SCHEMA_VERSION
    series: SeriesPart | None = None
    image: ImagePart | None = None
    g2: G2Part | None = None
    confirmed_g2: ConfirmedG2Part | None = None
    intensity: IntensityPart | None = None
    trend: TrendPart | None = None
    two_time: TwoTimePart | None = None
    pixels: PixelsPart | None = None
    spot: SpotPart | None = None
    sample: SamplePart | None = None
    selected_ring: int = 0
    runs: tuple[RunRow, ...] = ()
    jobs: tuple[JobRow, ...] = ()
    recipes: tuple[RecipeRow, ...] = ()
    messages: tuple[Message, ...] = ()
    untrusted_host: UntrustedHost | None = None
    missing: dict[str, str] = {}
