"""A group of channels followed through the series: whitening, ramp tests, size of the change."""

from __future__ import annotations

import math

import numpy as np

from backend.damage.channel_group import ChannelGroup
from backend.damage.ramp_tests import Prediction, RampTests
from backend.damage.window_kernels import pairs_at_distances
from backend.damage.window_length import windows_spanning
from backend.damage.windows import Window

_GATE_SIGMA = 6.0
_NEWEST_WINDOWS = 5
_NEWEST_FRAMES = 50


class FollowedChannels:
    """Feeds the windows of a series to the ramp tests of a group.

    Parameters
    ----------
    capacity, planned : int
        Most windows, and windows that the whole series will bring.
    reference : int
        Windows that the newest ones are compared with.
    frames : int
        Of each window.
    """

    def __init__(self, group: ChannelGroup, capacity: int, planned: int, reference: int, frames: int) -> None:
        self.group = group
        self._over_dispersion = np.ones(len(group.channels))
        self._reference = reference
        self._scales = np.array([channel.scale for channel in group.channels])
        self._log_prior = np.log([channel.prior for channel in group.channels])
        slope_scales = np.array([channel.slope_scales for channel in group.channels])
        self._tests = RampTests(capacity, planned, slope_scales, group.slow_noise(frames))
        self._by_distance = np.empty((0, len(group.channels)))
        self._last_frame = np.empty(capacity, np.int64)
        self._values = np.empty((capacity, len(group.channels)))
        self._counting = np.empty_like(self._values)
        self._frames = frames
        self._reference_mean = self._reference_variance = np.zeros(len(group.channels))
        self._reference_of = (0, 0)
        self._foreseen: tuple[Window, Prediction] | None = None

    def is_far(self, window: Window) -> bool:
        """True when one of the numbers is more than 6 sigma away from its prediction; nothing is added."""
        self._foreseen = (window, self._predict(window))
        return self._tests.size >= 2 and bool((np.abs(self._foreseen[1].residual) > _GATE_SIGMA).any())

    def add(self, window: Window, dose: float) -> None:
        """Add the next window; ``dose`` in units of the planned dose."""
        foreseen = self._foreseen
        numbers = foreseen[1] if foreseen and foreseen[0] is window else self._predict(window)
        self._foreseen = None
        self._tests.add(numbers, dose)

    def _predict(self, window: Window) -> Prediction:
        n = self._tests.size
        values, counting = self.group.measure(window)
        self._last_frame[n] = window.last_frame
        self._values[n], self._counting[n] = values, counting
        self._know_covariance_up_to(0)
        steps = (window.last_frame - int(self._last_frame[n - 1])) // self._frames if n else 1
        return self._tests.predict(values, self._by_distance[0] + counting, steps)

    def _know_covariance_up_to(self, windows: int) -> None:
        if windows >= len(self._by_distance):
            reach = np.arange(2 * windows + 64, dtype=float)
            self._by_distance = self.group.slow_covariance(self._frames * reach, self._frames)

    def learn_over_dispersion(self) -> None:
        """Widen the noise of each family as far as its residuals up to now are surely wider than predicted.

        Surely: less one standard error, for chance alone would widen half of all series, and hide damage in them.
        """
        families = np.array([channel.family for channel in self.group.channels])
        for family in set(families):
            residuals = self._tests.residuals[:, families == family]
            of_windows = np.mean(np.clip(residuals, -4, 4) ** 2, axis=1)
            if len(of_windows) >= 2:
                wider = of_windows.mean() - of_windows.std(ddof=1) / math.sqrt(len(of_windows))
                # Something unknown adds noise; never claim less than predicted.
                self._over_dispersion[families == family] = max(1.0, float(wider))

    def log10_evidence(self) -> np.ndarray:
        """log10 of prior share times e-value: by the union bound any channel may raise the alarm; shape (channel,)."""
        return (self._tests.log_evidence(self._over_dispersion) + self._log_prior) / math.log(10)

    def _compared(self) -> tuple[slice, slice] | None:
        """Windows of the reference and the newest ones; ``None`` before there are both."""
        size = self._tests.size
        newest = min(windows_spanning(_NEWEST_FRAMES, self._frames, _NEWEST_WINDOWS), size - 1)
        first = min(self._reference, size - newest)
        return None if newest < 1 or first < 1 else (slice(0, first), slice(size - newest, size))

    def compared_frames(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """First and last frame of the reference and of the newest windows, as :meth:`effects` compares them."""
        compared = self._compared()
        if compared is None:
            return (0, 0), (0, 0)
        early, late = (self._last_frame[windows] for windows in compared)
        before = self._frames - 1
        return (int(early[0]) - before, int(early[-1])), (int(late[0]) - before, int(late[-1]))

    def effects(self) -> tuple[np.ndarray, np.ndarray]:
        """Relative change of the newest windows against the reference, and its standard error; shape (channel,)."""
        compared = self._compared()
        if compared is None:
            return np.zeros(len(self._scales)), np.full(len(self._scales), math.inf)
        early, late = compared
        first, newest = early.stop - early.start, late.stop - late.start
        self._know_reference(first)
        change = self._values[late].sum(axis=0) / newest - self._reference_mean
        variance = (
            self._reference_variance
            + self._mean_covariance(late, late)
            + self._counting[late].sum(axis=0) / newest**2
            - 2 * self._mean_covariance(late, early)
        )
        return change * self._scales, np.sqrt(
            np.maximum(variance, 0.0) * self._over_dispersion
        ) * self._scales

    def _know_reference(self, first: int) -> None:
        """Mean of the first windows and its variance; the same from the end of the reference on."""
        of = (first, self._frames)
        if of != self._reference_of:
            early = slice(0, first)
            counting = self._counting[early].sum(axis=0) / first**2
            self._reference_variance = self._mean_covariance(early, early) + counting
            self._reference_mean = self._values[early].mean(axis=0)
            self._reference_of = of

    def _mean_covariance(self, some: slice, others: slice) -> np.ndarray:
        of_some, of_others = self._last_frame[some], self._last_frame[others]
        pairs = pairs_at_distances(of_some, of_others, self._frames)
        self._know_covariance_up_to(len(pairs) - 1)
        mean: np.ndarray = pairs @ self._by_distance[: len(pairs)] / (len(of_some) * len(of_others))
        return mean

    def crossing(self, channel: int, tolerance: float) -> tuple[float, float, float]:
        """Doses, in units of the planned dose, by which the change reaches the tolerance at 5, 50 and 95 % chance."""
        height = tolerance / float(self._scales[channel])
        spread = float(self._over_dispersion[channel])
        early, middle, late = self._tests.crossing_doses(channel, spread, height, np.array([0.05, 0.5, 0.95]))
        return float(early), float(middle), float(late)

    def onset(self, channel: int) -> tuple[int, tuple[int, int]] | None:
        """Median frame of the onset and its 90 % interval; the onset lies before the window that it names."""
        if self._tests.size < 2:
            return None
        weights = self._tests.onset_weights(channel, float(self._over_dispersion[channel]))
        cumulative = np.cumsum(weights)
        low, middle, high = (int(np.searchsorted(cumulative, level)) for level in (0.05, 0.5, 0.95))
        last = self._tests.size - 1
        frames = [int(self._last_frame[min(index, last)]) for index in (low, middle, high)]
        start = int(self._last_frame[min(low, last) - 1]) + 1 if low > 0 else 0
        return frames[1] - self._frames // 2, (start, frames[2])


def place_of(channel: int, groups: list[FollowedChannels]) -> tuple[FollowedChannels, int]:
    """Group of a channel that is counted through all groups, and its place there."""
    for followed in groups:
        if channel < len(followed.group.channels):
            return followed, channel
        channel -= len(followed.group.channels)
    raise IndexError(f"there is no channel {channel}")
