"""Reads ``.batchinfo`` files, which stand beside the detector files of a time series.

P10 writes ``key: value`` lines; the older files they descend from write ``key = value``. Both are read and no key
is lost, because which keys are written differs from one set-up to the next.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from backend.beamtime.dates import parse_date
from backend.beamtime.literal import as_number, read_literal
from backend.beamtime.text_file import read_series_text

_LINE = re.compile(r"\s*(?P<key>[^:=\s][^:=]*?)\s*[:=](?P<value>.*)")

# Planck constant times speed of light, keV * m (CODATA 2018, exact).
PHOTON_ENERGY_TIMES_WAVELENGTH_KEV_M = 12.398419843320026e-10


@dataclass(frozen=True, slots=True)
class BatchInfo:
    """What one ``.batchinfo`` file says; ``values`` holds every key as it was read."""

    values: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def started_at(self) -> datetime | None:
        """Start of the series as written, usually without a zone."""
        text = self.values.get("start_time")
        return parse_date(text) if isinstance(text, str) else None

    @property
    def beam_center_yx_px(self) -> tuple[float, float] | None:
        """Zero-based (row, column) of the direct beam; the file itself counts from 1."""
        row, column = as_number(self.values.get("y0")), as_number(self.values.get("x0"))
        return None if row is None or column is None else (row - 1.0, column - 1.0)

    @property
    def distance_m(self) -> float | None:
        """Sample to detector, metres (``rr`` is in millimetres)."""
        distance_mm = self._positive("rr")
        return None if distance_mm is None else distance_mm * 1e-3

    @property
    def wavelength_m(self) -> float | None:
        """Wavelength, metres (``energy`` is in keV)."""
        energy_kev = self._positive("energy")
        return None if energy_kev is None else PHOTON_ENERGY_TIMES_WAVELENGTH_KEV_M / energy_kev

    @property
    def exposure_s(self) -> float | None:
        """Exposure of one frame, seconds."""
        return self._positive("preset")

    @property
    def frames(self) -> int | None:
        """Planned frames: from ``ndata0`` (1 where it is missing) to ``ndataend``, both counted."""
        last = as_number(self.values.get("ndataend"))
        first = as_number(self.values.get("ndata0", 1))
        if last is None or first is None or last < first:
            return None
        return int(last) - int(first) + 1

    def _positive(self, key: str) -> float | None:
        number = as_number(self.values.get(key))
        # The division by an energy close to zero must not overflow.
        return number if number is not None and number > 1e-30 and math.isfinite(number) else None


def read_batchinfo(path: Path) -> BatchInfo:
    """Return the content of a ``.batchinfo`` file.

    Raises
    ------
    SeriesError
        The file cannot be read. Its text, however odd, is never an error.
    """
    return parse_batchinfo(read_series_text(path, "batch description"))


def parse_batchinfo(text: str) -> BatchInfo:
    """Return what the text of a ``.batchinfo`` file says; lines without a key are passed over."""
    values: dict[str, Any] = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is not None:
            values[match["key"]] = read_literal(match["value"])
    return BatchInfo(MappingProxyType(values))
