"""One channel followed through the series: whitening, ramp test, effect size."""

from __future__ import annotations

import math

import numpy as np

from backend.damage.channels import Channel
from backend.damage.noise_model import NoiseModel
from backend.damage.ramp_test import RampTest
from backend.damage.windows import Window

_GATE_SIGMA = 6.0
_NEWEST_WINDOWS = 5


class FollowedChannel:
    """Feeds the windows of a series to the ramp test of one channel."""

    def __init__(
        self, channel: Channel, model: NoiseModel, lags: np.ndarray, capacity: int, planned: int
    ) -> None:
        self.channel = channel
        self._model = model
        self._excess = model.excess(lags)
        self._test = RampTest(capacity, planned, channel.slope_scales)
        self._position: list[float] = []
        self._last_frame: list[int] = []
        self._values: list[float] = []
        self._white: list[float] = []
        self._frames = 1

    def is_far(self, window: Window) -> bool:
        """True when a window is more than 6 sigma away from its prediction."""
        if self._test.size < 2:
            return False
        value = self.channel.value(window, self._excess)
        return abs(self._test.innovation(value, self._covariance(window))) > _GATE_SIGMA

    def add(self, window: Window, dose: float) -> None:
        """Add the next window; ``dose`` in units of the planned dose."""
        value = self.channel.value(window, self._excess)
        self._test.add(value, self._covariance(window), dose)
        self._values.append(value)
        self._white.append(self.channel.white_variance(window, self._excess))
        self._position.append(window.last_frame - 0.5 * window.frames)
        self._last_frame.append(window.last_frame)

    def _covariance(self, window: Window) -> np.ndarray:
        here = window.last_frame - 0.5 * window.frames
        distance = here - np.array([*self._position, here])
        covariance = self.channel.slow_covariance(self._model, distance, window.frames)
        covariance[-1] += self.channel.white_variance(window, self._excess)
        self._frames = window.frames
        return covariance

    @property
    def residuals(self) -> list[float]:
        """Standardised residuals so far."""
        return self._test.residuals

    def log10_evidence(self, over_dispersion: float) -> float:
        """log10 of prior share times e-value: by the union bound any channel may raise the alarm."""
        return (self._test.log_evidence(over_dispersion) + math.log(self.channel.prior)) / math.log(10)

    def effect(self, reference_windows: int, over_dispersion: float) -> tuple[float, float]:
        """Relative change of the newest windows against the reference, and its standard error."""
        size = len(self._values)
        newest = min(_NEWEST_WINDOWS, size - 1)
        first = min(reference_windows, size - newest)
        if newest < 1 or first < 1:
            return 0.0, math.inf
        weight = np.zeros(size)
        weight[:first] = -1.0 / first
        weight[size - newest :] += 1.0 / newest
        used = np.flatnonzero(weight)
        position = np.array(self._position)[used]
        distance = np.abs(position[:, None] - position[None])
        slow = self.channel.slow_covariance(self._model, distance.ravel(), self._frames).reshape(
            distance.shape
        )
        part = weight[used]
        variance = float(part @ slow @ part) + float((part**2 * np.array(self._white)[used]).sum())
        change = float(weight @ np.array(self._values))
        return change * self.channel.scale, math.sqrt(
            max(variance, 0.0) * over_dispersion
        ) * self.channel.scale

    def onset(self, over_dispersion: float) -> tuple[int, tuple[int, int]] | None:
        """Median frame of the onset and its 90 % interval; the onset lies before the window that it names."""
        if self._test.size < 2:
            return None
        cumulative = np.cumsum(self._test.onset_weights(over_dispersion))
        low, middle, high = (int(np.searchsorted(cumulative, level)) for level in (0.05, 0.5, 0.95))
        last = len(self._last_frame) - 1
        frames = [self._last_frame[min(index, last)] for index in (low, middle, high)]
        start = frames[0] - self._frames + 1
        return frames[1] - self._frames // 2, (max(start, 0), frames[2])
