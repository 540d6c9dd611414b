"""The damage detector: frames in, one assessment per window out. Knows no files and no images."""

from __future__ import annotations

import math
import statistics

import numpy as np

from backend.damage.assessment import Assessment, DamageState, nothing_told
from backend.damage.channel_group import channel_groups
from backend.damage.deadband import deadbands_of_verdict
from backend.damage.findings import CONFIDENCE_SIGMA, Findings, alpha_of, findings_of, tolerances_of
from backend.damage.followed_channels import FollowedChannels, place_of
from backend.damage.glitch_gate import GlitchGate
from backend.damage.naming import LastingName, family_of_change
from backend.damage.ramp_tests import compile_kernels
from backend.damage.reference_noise import noise_of_reference
from backend.damage.sector_gate import SectorGate, SectorGlitch
from backend.damage.taken_dose import TakenDose
from backend.damage.window_length import MOST_WINDOWS, believed_plan, frames_of_window
from backend.damage.windows import SectorSums, Window, WindowBuilder, merge_windows
from backend.settings import DamageSettings

_TOLERANCES_OF_A_RAMP = 2.0


class DamageDetector:
    """Watches one series for a change with dose.

    Parameters
    ----------
    settings : DamageSettings
        Tolerances, wanted false-alarm rate, windows.
    q_inv_nm, speckles_per_ring : ndarray, shape (ring,)
        Mean q, independent speckles.
    pixels_per_ring : ndarray, shape (ring,) or (ring, sector)
        Pixels; where the rings are told by sectors, sectors that jump are left out.
    lags : ndarray, shape (lag,), int64
        Frames between the factors of the lagged products, ascending, any choice. With lag 0, the pairs of photons of a
        pixel within one frame, a lost contrast is told from faster dynamics much sooner.
    frame_time_s : float
        Seconds from frame to frame.
    expected_frames : int or None
        Planned length of the series.
    gradient : ndarray or None, shape (ring,)
        Factor by which the slope of I(q) across a ring raises the products.
    even_frames : bool
        False where the distance of frames varies: products over a fixed number of frames vary with it, so only I(q) is
        watched.
    exposure : float
        Part of the frame time in which photons are counted, 0 to 1; 0 = an instant. Lag 0 goes with it.
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
        even_frames: bool = True,
        exposure: float = 0.0,
    ) -> None:
        self._settings, self._even_frames, self._exposure = settings, even_frames, exposure
        self._q_inv_nm = np.asarray(q_inv_nm, float)
        self._speckles = np.asarray(speckles_per_ring, float)
        self._lags = np.asarray(lags, np.int64)
        self._frame_time_s = frame_time_s
        self._expected_frames = expected_frames = believed_plan(expected_frames, frame_time_s)
        frames = frames_of_window(settings.window_frames, frame_time_s, expected_frames)
        flat = np.ones(len(self._q_inv_nm)) if gradient is None else gradient
        pixels = np.asarray(pixels_per_ring).reshape(len(flat), -1)
        self._builder = WindowBuilder(frames, pixels, self._lags, flat)
        systematic_rms = settings.systematic_rms_percent / 100
        self._sectors = SectorGate(pixels, self._speckles, int(self._lags.max()), systematic_rms)
        self._first_sums: list[SectorSums] = []  # until the usual share of each sector is known
        self._windows: list[Window] = []
        self._photons: list[float] = []
        self._followed: list[FollowedChannels] = []
        self._following = False
        self._gate = GlitchGate(self._builder.frames_per_window)
        self._tolerance, self._name = tolerances_of(settings), LastingName()
        self._damaging_since: int | None = None
        self._onset_of_damage: tuple[int, tuple[int, int]] | None = None
        self._deadbands = deadbands_of_verdict(settings)
        self._windows_without_beam = 0
        self.taken = TakenDose()  # for what is told: the tests go by the dose of a steady beam
        compile_kernels()  # before the first frame, not in the middle of a series
        self.alpha = alpha_of(settings, (expected_frames or 0) * frame_time_s)
        self.assessments: list[Assessment] = []

    @property
    def frames_per_window(self) -> int:
        """Frames of one window; twice as many each time the series outgrows the plan."""
        return self._builder.frames_per_window

    @property
    def windows(self) -> tuple[Window, ...]:
        """Windows in use so far, all of the same length."""
        return tuple(self._windows)

    @property
    def planned_windows(self) -> int:
        """Windows that the whole series will bring."""
        if self._expected_frames is None:
            return MOST_WINDOWS
        return max(self._expected_frames // self._builder.frames_per_window, 1)

    @property
    def reference_windows(self) -> int:
        """Windows that set the noise model before anything is said."""
        wanted = math.ceil(self._settings.reference_fraction * self.planned_windows)
        return min(max(wanted, self._settings.min_reference_windows), self._settings.max_reference_windows)

    def add(
        self,
        ring_counts: np.ndarray,
        lagged_products: np.ndarray,
        dose: np.ndarray,
        valid_pixels: np.ndarray | None = None,
        monitor: np.ndarray | None = None,
    ) -> list[Assessment]:
        """Add frames and return one assessment for each window they complete.

        Parameters
        ----------
        ring_counts : ndarray, shape (frame, ring)
            Photons; a missing frame is a row of zeros.
        lagged_products : ndarray, shape (frame, ring, lag)
            sum over pixels of I(t) I(t - lag), 0 where t < lag. At lag 0, if there is one, of I(t) (I(t) - 1).
        dose : ndarray, shape (frame,)
            Accumulated up to the end of each frame, any unit.
        valid_pixels : ndarray or None, shape (frame, ring)
            Pixels that were counted, where they are not always ``pixels_per_ring``.
        monitor : ndarray or None, shape (frame,)
            Incident beam, any unit: for the dose that is told; no channel looks at it.

        Where ``pixels_per_ring`` has sectors, so have counts, products and valid pixels: (frame, ring, sector, ...).
        """
        self.taken.expect(len(ring_counts), monitor)
        windows = self._builder.windows(ring_counts, lagged_products, dose, valid_pixels)
        return [self._judge(self._sectors.whole(sums), sums) for sums in windows]

    def part_ends(self, frames: int) -> list[int]:
        """Cut the next frames where windows end: each part, up to one of these (excluded), is for :meth:`add_part`."""
        first, step = self._builder.frames_to_window_end, self._builder.frames_per_window
        return [*range(first, frames, step), frames]

    def add_part(
        self, cell_counts: np.ndarray, products: np.ndarray, dose: float, valid_pixels: np.ndarray
    ) -> list[Assessment]:
        """Add frames that do not reach beyond the end of a window; the assessment if they complete it.

        Parameters
        ----------
        cell_counts, valid_pixels : ndarray, shape (frame, cell)
            Photons and pixels that were counted, of each sector of each ring.
        products : ndarray, shape (cell, lag)
            As in :meth:`add`, summed over these frames.
        dose : float
            Accumulated up to the end of the last of them; a monitor is handed to ``taken`` before.
        """
        sums = self._builder.add(cell_counts, products, dose, valid_pixels)
        return [] if sums is None else [self._judge(self._sectors.whole(sums), sums)]

    def add_window(self, window: Window) -> Assessment:
        """Add the sums of a window and return the assessment after it."""
        return self._judge(window, None)

    def _judge(self, window: Window, sums: SectorSums | None) -> Assessment:
        self.taken.add(window)
        beam = self._beam_fraction(window)
        if self._deadbands.dark.holds(-beam):
            self._windows_without_beam += 1
            dark = DamageState.NO_BEAM if window.exposure_frames.any() else DamageState.NO_FRAMES
            return self._say(self._without_verdict(window, dark, beam))
        if sums is not None:
            if self._following:
                window = self._sectors.window(sums, window)
            else:
                self._first_sums.append(sums)
        self._windows.append(window)
        self._photons.append(window.photons)
        if len(self._windows) == MOST_WINDOWS:
            self._halve_resolution()
            self._start_following()
        elif self._following:
            self._follow(window)
        elif len(self._windows) < self.reference_windows:
            return self._say(self._without_verdict(window, DamageState.TOO_EARLY, beam))
        else:
            self._start_following()
        if not self._followed:
            return self._say(self._without_verdict(window, DamageState.TOO_FEW_PHOTONS, beam))
        return self._say(self._assess(window, beam))

    def know_monitor(self, monitor: np.ndarray) -> None:
        """Tell the doses of all assessments anew: shape (frame,), from the first frame of the series on."""
        self.taken.know_monitor(monitor)
        self.assessments = [self.taken.told(assessment) for assessment in self.assessments]

    def result(self) -> Assessment | None:
        """The newest assessment; ``None`` before the first window is complete."""
        return self.assessments[-1] if self.assessments else None

    def _say(self, assessment: Assessment) -> Assessment:
        self.assessments.append(self.taken.told(assessment))
        return self.assessments[-1]

    def _beam_fraction(self, window: Window) -> float:
        """Photons of this window against the median of the first windows; 0 when a ring was not counted at all."""
        earlier = self._photons[: self._settings.max_reference_windows]
        if not window.exposure_frames.all():
            return 0.0
        if not earlier:
            return 1.0 if window.photons > 0 else 0.0
        return window.photons / max(statistics.median(earlier), 1e-9)

    def _planned_dose(self) -> float:
        # Windows before the first one in use were dark: what they count as dose is not that of one window.
        first = self._windows[0]
        per_window = first.dose * self._builder.frames_per_window / (first.last_frame + 1)
        return (per_window if per_window > 0 else 1.0) * self.planned_windows

    def _start_following(self) -> None:
        """Fit the noise on the reference, then feed all windows so far to the tests."""
        self._look_at_sectors()
        reference = self._windows[: self.reference_windows]
        planned_frames = self.planned_windows * self.frames_per_window
        self._ageing, self._model = noise_of_reference(
            reference, self._lags, self._speckles, planned_frames, self._settings, self._frame_time_s,
            self._exposure,
        )  # fmt: skip
        lags = self._lags if self._even_frames else None
        aged = self._ageing.undone(reference, self._model, self._lags)
        groups = channel_groups(self._model, aged, self._q_inv_nm, lags)
        lengths = MOST_WINDOWS, self.planned_windows, self.reference_windows, reference[0].frames
        self._followed = [FollowedChannels(group, *lengths) for group in groups]
        # The tolerance of each channel.
        self._allowed = np.array([self._tolerance[one.family] for group in groups for one in group.channels])
        self._following = True
        self._gate = GlitchGate(self._builder.frames_per_window)
        for window in reference:
            self._follow(window)
        for followed in self._followed:
            followed.learn_over_dispersion()
        for window in self._windows[len(reference) :]:
            self._follow(window)

    def _follow(self, window: Window) -> None:
        (window,) = self._ageing.undone([window], self._model, self._lags)
        dose = window.dose / self._planned_dose()
        telling = [followed for followed in self._followed if followed.group.tells(window)]
        far = any(followed.is_far(window) for followed in telling)
        for passed, passed_dose in self._gate.let_through(window, dose, far):
            for followed in self._followed:
                if followed.group.tells(passed):
                    followed.add(passed, passed_dose)

    @property
    def sector_glitches(self) -> tuple[SectorGlitch, ...]:
        """The newest sectors that were left out of a window."""
        return tuple(self._sectors.glitches)

    def _look_at_sectors(self) -> None:
        """Once the usual share of each sector is known, the first windows are looked through as well."""
        if self._first_sums:
            gate, first = self._sectors, self._first_sums
            gate.learn(first)
            looked_through = {sums.last_frame: gate.window(sums, gate.whole(sums)) for sums in first}
            self._windows = [looked_through.get(window.last_frame, window) for window in self._windows]
            self._first_sums = []

    def _halve_resolution(self) -> None:
        """Series longer than planned: windows twice as long, tests repeated on the same data."""
        self._look_at_sectors()
        pairs = zip(self._windows[0::2], self._windows[1::2], strict=True)
        self._windows = [merge_windows(first, second) for first, second in pairs]
        self._photons = [window.photons for window in self._windows]
        self._builder.frames_per_window *= 2

    def _without_verdict(self, window: Window, state: DamageState, beam: float) -> Assessment:
        return nothing_told(
            window.last_frame,
            window.dose,
            state,
            log10_evidence=self.assessments[-1].log10_evidence if self.assessments else 0.0,
            log10_alarm=-math.log10(self.alpha),
            tolerance=self._settings.structure_tolerance_percent / 100,
            windows=(len(self._windows), self.reference_windows, self._windows_without_beam),
            beam_fraction=beam,
        )

    def _assess(self, window: Window, beam: float) -> Assessment:
        found = findings_of(self._followed)
        log10_evidence, log10_alarm = float(found.log10_evidence.max()), -math.log10(self.alpha)
        leading = found.leading(log10_alarm, None if self._damaging_since is None else self._allowed)
        family_told = True
        watching = self._deadbands.watching.holds(log10_evidence)
        onset = self._onset(leading) if watching else None
        if onset is not None:
            leading, family_told = self._named(found, leading, onset[0])
        effects = found.by_family()
        self._remember_damage(window, found, leading, float(self._allowed[leading]), onset)
        state = self._state(watching, effects)
        watched = state is DamageState.CHANGING
        limit = self._limit_frames(window, leading, float(self._allowed[leading])) if watched else None
        return Assessment(
            frame=window.last_frame,
            dose=window.dose,
            state=state,
            log10_evidence=log10_evidence,
            log10_alarm=log10_alarm,
            family=found.channels[leading].family,
            label=found.channels[leading].label,
            family_told=family_told,
            effect=float(found.effect[leading]),
            effect_err=float(found.effect_err[leading]),
            effects=effects,
            tolerance=float(self._allowed[leading]),
            onset_frame=onset and onset[0],
            onset_interval=onset and onset[1],
            windows=len(self._windows),
            windows_needed=self.reference_windows,
            windows_set_aside=self._windows_without_beam + self._gate.set_aside,
            beam_fraction=beam,
            limit_frame=limit and limit[1],
            limit_interval=limit and (limit[0], limit[2]),
            grounds=found.grounds(leading, self._allowed, log10_alarm),
        )

    def _remember_damage(
        self,
        window: Window,
        found: Findings,
        leading: int,
        tolerance: float,
        onset: tuple[int, tuple[int, int]] | None,
    ) -> None:
        """Damage does not heal within a series; and once it is large, its onset is no longer moved."""
        size = abs(float(found.effect[leading]))
        alarm = float(found.log10_evidence.max()) >= -math.log10(self.alpha)
        surely = size - CONFIDENCE_SIGMA * float(found.effect_err[leading])
        if alarm and surely >= tolerance and self._damaging_since is None:
            self._damaging_since = window.last_frame
        if self._damaging_since is not None and size >= _TOLERANCES_OF_A_RAMP * tolerance:
            self._onset_of_damage = self._onset_of_damage or onset

    def _state(self, watching: bool, effects: dict[str, tuple[float, float]]) -> DamageState:
        if self._damaging_since is not None:
            return DamageState.DAMAGING
        if watching:
            return DamageState.CHANGING
        return DamageState.STEADY if self._tells_enough(effects) else DamageState.TOO_UNCERTAIN

    def _named(self, found: Findings, leading: int, onset_frame: int) -> tuple[int, bool]:
        """The leading channel, of rate and contrast the one that explains the change of g2; whether it surely does."""
        channel = found.channels[leading]
        if channel.family == "structure":
            return leading, True
        windows = self._ageing.undone(self._windows, self._model, self._lags)
        change = family_of_change(self._model, self._lags, windows, onset_frame)
        named = leading if change.family == channel.family else found.main_channel(change.family, leading)
        return named, self._name.holds(change)

    def _onset(self, channel: int) -> tuple[int, tuple[int, int]] | None:
        """Onset as one channel sees it, with its interval.

        Every change begins like a ramp, but few go on like one: that of large damage is kept as it was found.
        """
        if self._onset_of_damage is not None:
            return self._onset_of_damage
        followed, place = place_of(channel, self._followed)
        return followed.onset(place)

    def _limit_frames(
        self, window: Window, channel: int, tolerance: float
    ) -> tuple[int, int, int | None] | None:
        """Frames by which the tolerance is reached at 5, 50 and 95 % chance, if the beam goes on like this."""
        followed, place = place_of(channel, self._followed)
        planned_frames = self.planned_windows * self.frames_per_window
        # A window stands for its end, but what is measured in it is that of its middle.
        here = window.last_frame - 0.5 * window.frames - window.dose / self._planned_dose() * planned_frames
        early, middle, late = (
            None if math.isinf(dose) else max(round(here + dose * planned_frames), 0)
            for dose in followed.crossing(place, tolerance)
        )
        return None if early is None or middle is None else (early, middle, late)

    def _tells_enough(self, effects: dict[str, tuple[float, float]]) -> bool:
        """True when a change of the structure as large as the tolerance would stand out from the noise."""
        error = effects.get("structure", (0.0, math.inf))[1]
        standing_out = self._tolerance["structure"] / max(CONFIDENCE_SIGMA * error, 1e-9)
        return self._deadbands.telling.holds(standing_out)
