"""What has to be said about a series while it runs and at its end, in sentences."""

from __future__ import annotations

import numpy as np

from backend.correlation.irregular_times import IrregularTimes
from backend.damage.sector_gate import SectorGlitch
from backend.detector.pixel_watch import OddPixels
from backend.frames import SourceNotice
from backend.series_analysis import SeriesAnalysis


def series_notices(analysis: SeriesAnalysis) -> tuple[SourceNotice, ...]:
    """Notices as of now, each with a key of its own; one with an empty ``what`` takes an earlier one back."""
    name = analysis.info.name
    notices: list[SourceNotice] = []
    if analysis.odd_pixels is not None:
        columns = analysis.info.detector.shape_yx[1]
        notices.append(_hot_notice(f"hot-pixels-{name}", analysis.odd_pixels, columns))
        notices.append(_dead_notice(f"dead-pixels-{name}", analysis.odd_pixels, columns))
    if analysis.rings is not None and analysis.rings.dose.problem:
        notices.append(_dose_notice(f"dose-{name}", analysis.rings.dose.problem))
    if analysis.rings is not None and analysis.rings.damage.sector_glitches:
        notices.append(_sector_notice(f"sectors-{name}", analysis.rings.damage.sector_glitches))
    if analysis.rings is not None and analysis.rings.irregular is not None:
        notices.append(_uneven_notice(f"uneven-frames-{name}"))
        if analysis.rings.irregular.paired_frames < analysis.rings.irregular.frames:
            notices.append(_unpaired_notice(f"unpaired-frames-{name}", analysis.rings.irregular))
    return tuple(notices)


def _hot_notice(key: str, found: OddPixels, columns: int) -> SourceNotice:
    if found.hot.size == 0:
        return SourceNotice(key, "info", "")
    row, column = divmod(int(found.hot[0]), columns)
    ring = int(np.argmax(found.ring_share))
    flashing = int(np.count_nonzero(found.flashing))
    return SourceNotice(
        key,
        "warning",
        f"{_pixels(found.hot.size)} in the q rings {'is' if found.hot.size == 1 else 'are'} far too bright after "
        f"{found.frames} frames, {flashing} of them flashing; the worst at row {row}, column {column}: "
        f"{found.photons[0]} photons where {found.expected[0]:.3g} are expected. Up to "
        f"{100 * found.ring_share[ring]:.2g} % of the photons of a ring (ring {ring + 1}) come from them.",
        "They still count in g2 of this series.",
        _MASK_ADVICE,
    )


def _dead_notice(key: str, found: OddPixels, columns: int) -> SourceNotice:
    if found.dead.size == 0:
        return SourceNotice(key, "info", "")
    row, column = divmod(int(found.dead[0]), columns)
    return SourceNotice(
        key,
        "info",
        f"{_pixels(found.dead.size)} in the q rings counted nothing in {found.frames} frames where others counted "
        f"many: dead or in a shadow. The first is at row {row}, column {column}.",
        "They make g2 of this series a little too high.",
        _MASK_ADVICE,
    )


_GLITCHES_TOLD = 3
_MASK_ADVICE = (
    "To leave them out of the next series, name the result file of this one as file in section [mask] of the "
    "settings."
)


def _dose_notice(key: str, problem: str) -> SourceNotice:
    return SourceNotice(
        key,
        "info",
        f"The dose cannot be told in gray: {problem}.",
        "The dose is the exposure, weighted by the transmission of the absorbers.",
        "Complete section [dose] of the settings, or leave out its flux.",
    )


def _sector_notice(key: str, glitches: tuple[SectorGlitch, ...]) -> SourceNotice:
    newest = sorted(glitches, key=lambda glitch: (glitch.last_frame, glitch.sector))[-_GLITCHES_TOLD:]
    return SourceNotice(
        key,
        "warning",
        "Part of the detector counts unlike the rest of its rings: "
        + "; ".join(_sector_words(glitch) for glitch in newest)
        + ".",
        "These sectors are left out of the damage verdict in these frames; they still count in g2 and I(q).",
        "If it comes again, look for a loose module, a moving shadow or a flashing pixel, and mask it.",
    )


def _sector_words(glitch: SectorGlitch) -> str:
    rings = f"ring {glitch.first_ring + 1}"
    if glitch.last_ring > glitch.first_ring:
        rings = f"rings {glitch.first_ring + 1} to {glitch.last_ring + 1}"
    change = 100 * abs(glitch.factor - 1)
    how = f"up to {change:.2g} % {'more' if glitch.factor > 1 else 'less'}"
    if glitch.bright_pixels:
        how = "with a few pixels far brighter than the others"
    return (
        f"sector {glitch.sector + 1} of {rings} {how} in frames {glitch.first_frame} to {glitch.last_frame}"
    )


def _pixels(number: int) -> str:
    return "1 pixel" if number == 1 else f"{number} pixels"


def _uneven_notice(key: str) -> SourceNotice:
    return SourceNotice(
        key,
        "info",
        "The frames are not evenly spaced in time: g2 is made of the times in the master, each frame paired with every "
        "earlier one.",
        "The two-time map counts frames, and the damage verdict looks at I(q) alone.",
    )


def _unpaired_notice(key: str, irregular: IrregularTimes) -> SourceNotice:
    return SourceNotice(
        key,
        "warning",
        f"Only the first {irregular.paired_frames} frames are in g2: for unevenly spaced frames all photons have to be "
        "kept, and the room is full or the master has no more times.",
        "All other quantities use every frame.",
        "Measure shorter series, or with even spacing.",
    )
