"""The spot of a series: where its files say the motors were, and the size of the beam."""

from __future__ import annotations

from backend.dose_settings import DoseSettings
from backend.frames import SeriesInfo
from backend.series_record import Spot


def spot_of(settings: DoseSettings, info: SeriesInfo) -> tuple[Spot | None, str]:
    """The spot of a series; ``None`` and the reason in words where it is not known."""
    for name in ("residence_time_s", "flow_speed_um_per_s"):
        if getattr(settings, name) is not None:
            return None, f"the sample flows or is scanned ({name} in the settings)"
    if settings.beam_width_um is None or settings.beam_height_um is None:
        return None, "section [dose] of the settings has not both width and height of the beam"
    horizontal = _position(settings.horizontal_motors, info)
    vertical = _position(settings.vertical_motors, info)
    missing = [
        " or ".join(motors) or "motor (the settings name none)"
        for motors, position in (
            (settings.horizontal_motors, horizontal),
            (settings.vertical_motors, vertical),
        )
        if position is None
    ]
    if horizontal is None or vertical is None:
        return None, f"the files of the series state no {' and no '.join(missing)}"
    unit_um = settings.motor_unit_um
    return Spot(horizontal * unit_um, vertical * unit_um, settings.beam_width_um, settings.beam_height_um), ""


def _position(motors: tuple[str, ...], info: SeriesInfo) -> float | None:
    return next((info.side_numbers[motor] for motor in motors if motor in info.side_numbers), None)
