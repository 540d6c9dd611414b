"""What a simulated series really is, to be compared with what an analysis finds."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from backend.simulation.relaxation import relaxation_mixture
from backend.simulation.series_plan import SeriesPlan


def truth_of(plan: SeriesPlan) -> dict[str, Any]:
    """All true values of a plan as JSON-ready numbers and words, units in the names."""
    scenario = plan.scenario
    return {
        "simulated": True,
        "series": plan.name,
        "scenario": scenario.name,
        "description": scenario.description,
        "onset_frame": scenario.onset_frame(plan.frames),
        "damaging": scenario.damaging,
        "exposure_s": _exposure_s(plan),
        "laws": dataclasses.asdict(scenario),
        "detector": plan.detector.name,
        "geometry": plan.detector.geometry(),
        "frames": plan.frames,
        "frame_time_s": plan.frame_time_s,
        "count_time_s": plan.count_time_s,
        "photons_per_pixel": plan.photons_per_pixel,
        "transmission": plan.transmission,
        "position_mm": list(plan.position_mm),
        "contrast": plan.contrast,
        "modes": plan.modes,
        "speckle_size_px": plan.speckle_size_px,
        "i0_noise_rms": plan.i0_noise_rms,
        "i0_correlation_s": plan.i0_correlation_s,
        "relaxation": _relaxation(plan),
        "form_factor": {
            "law": "I(q) = 1 / (1 + (q length)^2)^2",
            "length_nm": plan.form_factor_length_nm,
        },
        "seed": plan.seed,
        "dtype": plan.dtype,
        "frames_per_file": plan.file_frames,
    }


def _relaxation(plan: SeriesPlan) -> dict[str, Any]:
    mixture = relaxation_mixture(plan.exponent)
    return {
        "g2_convention": "g2 - 1 = contrast * exp(-2 (Gamma lag)^exponent)",
        "gamma_law": "Gamma = diffusion * q^2, times gamma_end_factor^progress after the onset, times the "
        "transmission where beam_driven, plus renewals per length of the series",
        "diffusion_nm2_per_s": plan.diffusion_nm2_per_s,
        "exponent": plan.exponent,
        "mixture_weights": mixture.weights.tolist(),
        "mixture_rates": mixture.rates.tolist(),
        "mixture_meaning": "|g1| = sum(weights * exp(-rates Gamma lag)) exactly",
        "exposure": "a frame is the mean of two instants, two thirds of count_time_s apart: g2 - 1 between frames "
        "is the mean of that law over their pairs of instants",
    }


def _exposure_s(plan: SeriesPlan) -> float:
    """Seconds of full beam that the sample gets."""
    factors = (plan.scenario.exposure_factor(frame, plan.frames) for frame in range(plan.frames))
    return plan.transmission * plan.frame_time_s * sum(factors)


def write_truth(path: Path, plan: SeriesPlan) -> None:
    """Write :func:`truth_of` as JSON."""
    path.write_text(json.dumps(truth_of(plan), indent=2, allow_nan=False) + "\n", encoding="utf-8")
