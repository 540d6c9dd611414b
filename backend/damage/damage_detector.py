"""The damage detector: frames in, one assessment per window out. Knows no files and no images."""

from __future__ import annotations

import math

import numpy as np

from backend.damage.assessment import Assessment, DamageState
from backend.damage.channels import dynamics_channels, structure_channels
from backend.damage.followed_channel import FollowedChannel
from backend.damage.glitch_gate import GlitchGate
from backend.damage.noise_model import NoiseModel, fit_noise_model
from backend.damage.windows import Window, WindowBuilder, merge_windows
from backend.settings import DamageSettings

_SHORTEST_WINDOW_S = 0.1
_WINDOWS_OF_FAST_SERIES = 100
_ROUNDING = 1e-6
_MOST_WINDOWS = 256
_EXPOSURE_PER_100_H_S = 360_000.0
_CONFIDENCE_SIGMA = 1.645
_WATCH_LOG10_EVIDENCE = math.log10(20.0)
_QUIET_WINDOWS_TO_CLEAR = 5
_SECONDS_WHEN_LENGTH_UNKNOWN = 1000.0
_LONGEST_BELIEVED_PLAN_S = 86_400.0


class DamageDetector:
    """Watches one series for a change with dose.

    Parameters
    ----------
    settings : DamageSettings
        Tolerances, wanted false-alarm rate, windows.
    q_inv_nm, pixels_per_ring, speckles_per_ring : ndarray, shape (ring,)
        Mean q, pixels, independent speckles.
    lags : ndarray, shape (lag,), int64
        Frames between the factors of the lagged products, ascending.
    frame_time_s : float
        Seconds from frame to frame.
    expected_frames : int or None
        Planned length of the series.
    gradient : ndarray or None, shape (ring,)
        Factor by which the slope of I(q) across a ring raises the products.
    """

    def __init__(
        self,
        settings: DamageSettings,
        q_inv_nm: np.ndarray,
        pixels_per_ring: np.ndarray,
        speckles_per_ring: np.ndarray,
        lags: np.ndarray,
        frame_time_s: float,
        expected_frames: int | None = None,
        gradient: np.ndarray | None = None,
    ) -> None:
        self._settings = settings
        self._q_inv_nm = np.asarray(q_inv_nm, float)
        self._speckles = np.asarray(speckles_per_ring, float)
        self._lags = np.asarray(lags, np.int64)
        self._frame_time_s = frame_time_s
        if expected_frames is not None and expected_frames * frame_time_s > _LONGEST_BELIEVED_PLAN_S:
            # A detector told to count until it is stopped plans billions of frames.
            expected_frames = None
        self._expected_frames = expected_frames
        frames = _frames_of_window(settings.window_frames, frame_time_s, expected_frames)
        flat = np.ones(len(self._q_inv_nm)) if gradient is None else gradient
        self._builder = WindowBuilder(frames, np.asarray(pixels_per_ring), self._lags, flat)
        self._windows: list[Window] = []
        self._model: NoiseModel | None = None
        self._followed: list[FollowedChannel] = []
        self._gate = GlitchGate()
        self._over_dispersion: dict[str, float] = {}
        self._damaging_since: int | None = None
        self._quiet_windows = _QUIET_WINDOWS_TO_CLEAR
        self._window_no_beam = 0
        seconds = (expected_frames or 0) * frame_time_s or _SECONDS_WHEN_LENGTH_UNKNOWN
        self.alpha = min(settings.false_alarms_per_100_h * seconds / _EXPOSURE_PER_100_H_S, 0.05)
        self.assessments: list[Assessment] = []

    @property
    def frames_per_window(self) -> int:
        """Frames of one window; twice as many each time the series outgrows the plan."""
        return self._builder.frames_per_window

    @property
    def planned_windows(self) -> int:
        """Windows that the whole series will bring."""
        if self._expected_frames is None:
            return _MOST_WINDOWS
        return max(self._expected_frames // self._builder.frames_per_window, 1)

    @property
    def reference_windows(self) -> int:
        """Windows that set the noise model before anything is said."""
        wanted = math.ceil(self._settings.reference_fraction * self.planned_windows)
        return int(
            np.clip(wanted, self._settings.min_reference_windows, self._settings.max_reference_windows)
        )

    def add(self, ring_counts: np.ndarray, lagged_products: np.ndarray, dose: np.ndarray) -> list[Assessment]:
        """Add frames and return one assessment for each window they complete.

        Parameters
        ----------
        ring_counts : ndarray, shape (frame, ring)
            Photons; a missing frame is a row of zeros.
        lagged_products : ndarray, shape (frame, ring, lag)
            sum over pixels of I(t) I(t - lag), 0 where t < lag.
        dose : ndarray, shape (frame,)
            Accumulated up to the end of each frame, any unit.
        """
        said = []
        for counts, products, frame_dose in zip(ring_counts, lagged_products, dose, strict=True):
            window = self._builder.add(counts, products, float(frame_dose))
            if window is not None:
                said.append(self.add_window(window))
        return said

    def add_window(self, window: Window) -> Assessment:
        """Add the sums of a window and return the assessment after it."""
        beam = self._beam_fraction(window)
        if beam < self._settings.min_beam_fraction:
            self._window_no_beam += 1
            return self._say(self._without_verdict(window, DamageState.NO_BEAM, beam))
        self._windows.append(window)
        if len(self._windows) == _MOST_WINDOWS:
            self._halve_resolution()
            self._start_following()
        elif self._model is not None:
            self._follow(window)
        elif len(self._windows) < self.reference_windows:
            return self._say(self._without_verdict(window, DamageState.TOO_EARLY, beam))
        else:
            self._start_following()
        if not self._followed:
            return self._say(self._without_verdict(window, DamageState.TOO_FEW_PHOTONS, beam))
        return self._say(self._assess(window, beam))

    def _say(self, assessment: Assessment) -> Assessment:
        self.assessments.append(assessment)
        return assessment

    def _beam_fraction(self, window: Window) -> float:
        """Counts of this window against the median of the windows so far."""
        counts = float(window.counts.sum())
        earlier = [
            float(other.counts.sum()) for other in self._windows[: self._settings.max_reference_windows]
        ]
        if not earlier:
            return 1.0 if counts > 0 else 0.0
        return counts / max(float(np.median(earlier)), 1e-9)

    def _planned_dose(self) -> float:
        # Windows before the first one in use were dark: what they count as dose is not that of one window.
        first = self._windows[0]
        per_window = first.dose * self._builder.frames_per_window / (first.last_frame + 1)
        return (per_window if per_window > 0 else 1.0) * self.planned_windows

    def _start_following(self) -> None:
        """Fit the noise on the reference, then feed all windows so far to the tests."""
        reference = self._windows[: self.reference_windows]
        model = fit_noise_model(
            reference,
            self._lags,
            self._speckles,
            self.planned_windows * self.frames_per_window,
            self._settings.systematic_rms_percent / 100,
            self._settings.systematic_time_s / self._frame_time_s,
        )
        channels = structure_channels(model, reference, self._q_inv_nm)
        channels += dynamics_channels(model, reference, self._lags) if channels else []
        planned = self.planned_windows
        self._model = model
        self._followed = [
            FollowedChannel(channel, model, self._lags, _MOST_WINDOWS, planned) for channel in channels
        ]
        self._gate = GlitchGate()
        for window in reference:
            self._follow(window)
        for family in {followed.channel.family for followed in self._followed}:
            members = [f for f in self._followed if f.channel.family == family]
            residuals = np.concatenate([np.array(f.residuals) for f in members])
            # Residuals wider than predicted mean that something unknown adds noise; never claim less than predicted.
            squares = float(np.mean(np.clip(residuals, -4, 4) ** 2)) if residuals.size else 1.0
            self._over_dispersion[family] = max(1.0, squares)
        for window in self._windows[len(reference) :]:
            self._follow(window)

    def _follow(self, window: Window) -> None:
        dose = window.dose / self._planned_dose()
        far = any(followed.is_far(window) for followed in self._followed if _tells(followed, window))
        for passed, passed_dose in self._gate.let_through(window, dose, far):
            for followed in self._followed:
                if _tells(followed, passed):
                    followed.add(passed, passed_dose)

    def _halve_resolution(self) -> None:
        """Series longer than planned: windows twice as long, tests repeated on the same data."""
        pairs = zip(self._windows[0::2], self._windows[1::2], strict=True)
        self._windows = [merge_windows(first, second) for first, second in pairs]
        self._builder.frames_per_window *= 2

    def _without_verdict(self, window: Window, state: DamageState, beam: float) -> Assessment:
        return Assessment(
            frame=window.last_frame,
            dose=window.dose,
            state=state,
            log10_evidence=self.assessments[-1].log10_evidence if self.assessments else 0.0,
            log10_alarm=-math.log10(self.alpha),
            family="",
            label="",
            effect=0.0,
            effect_err=math.inf,
            effects={},
            tolerance=self._settings.structure_tolerance_percent / 100,
            onset_frame=None,
            onset_interval=None,
            windows=len(self._windows),
            windows_needed=self.reference_windows,
            windows_set_aside=self._window_no_beam,
            beam_fraction=beam,
        )

    def _assess(self, window: Window, beam: float) -> Assessment:
        evidence = [f.log10_evidence(self._over_dispersion[f.channel.family]) for f in self._followed]
        leading = self._leading(evidence)
        family = leading.channel.family
        log10_evidence = max(evidence)
        spread = self._over_dispersion[family]
        effect, effect_err = leading.effect(self.reference_windows, spread)
        tolerance = self._tolerance(family)
        alarm = log10_evidence >= -math.log10(self.alpha)
        effects = self._effects()
        state = DamageState.STEADY if self._tells_enough(effects) else DamageState.TOO_UNCERTAIN
        onset = None
        if self._watching(log10_evidence):
            state = DamageState.CHANGING
            onset = leading.onset(spread)
        if alarm and abs(effect) - _CONFIDENCE_SIGMA * effect_err >= tolerance:
            # Damage does not heal within a series.
            self._damaging_since = self._damaging_since or window.last_frame
        if self._damaging_since is not None:
            state = DamageState.DAMAGING
        return Assessment(
            frame=window.last_frame,
            dose=window.dose,
            state=state,
            log10_evidence=log10_evidence,
            log10_alarm=-math.log10(self.alpha),
            family=family,
            label=leading.channel.label,
            effect=effect,
            effect_err=effect_err,
            effects=effects,
            tolerance=tolerance,
            onset_frame=onset[0] if onset else None,
            onset_interval=onset[1] if onset else None,
            windows=len(self._windows),
            windows_needed=self.reference_windows,
            windows_set_aside=self._window_no_beam + self._gate.set_aside,
            beam_fraction=beam,
        )

    def _leading(self, evidence: list[float]) -> FollowedChannel:
        """The channel with most evidence; once the sample is damaged, of all that raise the alarm the most changed."""
        alarming = [f for f, e in zip(self._followed, evidence, strict=True) if e >= -math.log10(self.alpha)]
        if self._damaging_since is None or not alarming:
            return self._followed[int(np.argmax(evidence))]

        def beyond_doubt(followed: FollowedChannel) -> float:
            family = followed.channel.family
            effect, error = followed.effect(self.reference_windows, self._over_dispersion[family])
            return (abs(effect) - _CONFIDENCE_SIGMA * error) / self._tolerance(family)

        return max(alarming, key=beyond_doubt)

    def _tells_enough(self, effects: dict[str, tuple[float, float]]) -> bool:
        """True when a change of the structure as large as the tolerance would stand out from the noise."""
        error = effects.get("structure", (0.0, math.inf))[1]
        return _CONFIDENCE_SIGMA * error <= self._tolerance("structure")

    def _watching(self, log10_evidence: float) -> bool:
        """Whether something may be changing; said until five quiet windows in a row, so that it cannot flicker."""
        if log10_evidence >= _WATCH_LOG10_EVIDENCE:
            self._quiet_windows = 0
        else:
            self._quiet_windows += 1
        return self._quiet_windows < _QUIET_WINDOWS_TO_CLEAR

    def _tolerance(self, family: str) -> float:
        """Relative change (ln ratio) that counts as damage."""
        percent = {
            "structure": self._settings.structure_tolerance_percent,
            "dynamics": self._settings.dynamics_tolerance_percent,
            "contrast": self._settings.contrast_tolerance_percent,
        }[family]
        return math.log1p(percent / 100)

    def _effects(self) -> dict[str, tuple[float, float]]:
        """Change and error of the channel that stands for each family."""
        shown = {
            "structure": "lowest against highest q",
            "dynamics": "relaxation rate",
            "contrast": "speckle contrast",
        }
        return {
            f.channel.family: f.effect(self.reference_windows, self._over_dispersion[f.channel.family])
            for f in self._followed
            if shown[f.channel.family] == f.channel.label
        }


def _tells(followed: FollowedChannel, window: Window) -> bool:
    """False for coincidences when the longest lag still reaches back before the first frame."""
    return followed.channel.g2_weights is None or bool(window.expected.any(axis=0).all())


def _frames_of_window(wanted: int, frame_time_s: float, expected_frames: int | None) -> int:
    """Frames of a window: as many as wanted, more when the series is so long or so fast that it makes too many.

    Nobody reads more than some verdicts a second, and each costs milliseconds that a fast detector does not leave.
    """
    frames = wanted * math.ceil(_SHORTEST_WINDOW_S / (wanted * frame_time_s) - _ROUNDING)
    if expected_frames:
        frames = min(frames, max(wanted, expected_frames // _WINDOWS_OF_FAST_SERIES))
        frames = max(frames, math.ceil(expected_frames / _MOST_WINDOWS))
    return max(frames, wanted)
