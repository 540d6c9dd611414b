"""What the first windows of a series say about its noise, and how it will go on."""

from __future__ import annotations

import numpy as np

from backend.damage.ageing import AgeingLaw
from backend.damage.noise_model import NoiseModel, fit_noise_model
from backend.damage.windows import Window
from backend.settings import DamageSettings


def noise_of_reference(
    reference: list[Window],
    lags: np.ndarray,
    speckles: np.ndarray,
    planned_frames: int,
    settings: DamageSettings,
    frame_time_s: float,
    exposure: float,
) -> tuple[AgeingLaw, NoiseModel]:
    """Ageing as the settings have it, with the middle of the reference as its reference age, and the noise model.

    ``lags``, shape (lag,), int64, in frames; ``speckles``, shape (ring,); ``exposure``, part of the frame time.
    """
    last_frame = reference[-1].last_frame
    ageing = AgeingLaw(settings.ageing_exponent, settings.ageing_start_s / frame_time_s, 0.5 * last_frame)
    model = fit_noise_model(
        reference,
        lags,
        speckles,
        planned_frames,
        settings.systematic_rms_percent / 100,
        settings.systematic_time_s / frame_time_s,
        ageing.rates_of(reference),
        min(float(ageing.rate(max(planned_frames, last_frame))), 1.0),
        exposure,
    )
    return ageing, model
