"""Parts of the snapshot that look beyond the series on display: the dose on its spot, and all series of its sample."""

from __future__ import annotations

import msgspec


class SpotPart(msgspec.Struct, frozen=True, kw_only=True):
    """Dose on the spot of the series; ``words`` say it, or why it is not known.

    ``position_um``, ``beam_um``: horizontal and vertical. ``dose``: so far, ``dose_before`` of it from
    ``earlier_series`` series, ``onset_dose`` the smallest at which ``onset_series`` of the same sample began to show
    damage; all in ``dose_unit``, "Gy" or "s of full beam". ``frames_left``: until the change is at its limit, by the
    forecast, or else until the dose is that of the onset.
    """

    words: str
    position_um: tuple[float, float] | None = None
    beam_um: tuple[float, float] | None = None
    dose: float | None = None
    dose_before: float | None = None
    dose_unit: str = ""
    earlier_series: int = 0
    onset_dose: float | None = None
    onset_series: str = ""
    frames_left: int | None = None


class SampleSeries(msgspec.Struct, frozen=True, kw_only=True):
    """One series of the sample; errors are one sigma, relative.

    ``dose_words``: dose on its spot at its end. ``relaxation_rate_per_s``: at the q of the comparison.
    ``low_to_high_q``: mean scattering at low over that at high q. ``is_used``: no change was seen, and its rate is
    known: the tests use it.
    """

    series: str
    verdict: str
    dose_rate: float | None
    dose_words: str
    relaxation_rate_per_s: float | None
    relaxation_rate_err: float
    low_to_high_q: float | None
    low_to_high_q_err: float
    is_used: bool


class PowerOfDoseRate(msgspec.Struct, frozen=True, kw_only=True):
    """Quantity ~ dose rate^power with its standard error; ``chance`` of this if it does not depend, against ``limit``.

    ``scatter``: relative, between series, beyond their own errors.
    """

    power: float
    power_err: float
    scatter: float
    chance: float
    limit: float
    series: int


class SamplePart(msgspec.Struct, frozen=True, kw_only=True):
    """All series of the sample that ended, newest first, and whether motion and structure go with the dose rate."""

    sample: str
    detector: str
    words: str
    beam_driven: bool
    dose_rate_unit: str
    q_inv_nm: float | None
    series: tuple[SampleSeries, ...]
    motion: PowerOfDoseRate | None = None
    structure: PowerOfDoseRate | None = None
