"""What a verdict rests on, in words: channel, size against its limit, evidence against its alarm, rings, frames."""

from __future__ import annotations

from backend.snapshot import Verdict
from backend.snapshot_verdict import Ground
from widgets.quantity_words import count_words

_MOST_SHOWN = 4


def grounds_words(verdict: Verdict) -> str:
    """One paragraph per channel, strongest first; empty where a verdict rests on none."""
    return "\n\n".join(_ground_words(ground) for ground in verdict.grounds[:_MOST_SHOWN])


def _ground_words(ground: Ground) -> str:
    evidence = f"evidence 10^{ground.log10_evidence:.1f}, alarm at 10^{ground.log10_alarm:.1f}"
    size = f"{ground.effect_percent:+.1f} ± {ground.effect_err_percent:.1f} % of {ground.tolerance_percent:.3g} %"
    frames = f"frames {_span_words(ground.frames)} against {_span_words(ground.reference_frames)}"
    return f"{ground.family}: {ground.channel}\n{size}; {evidence}\n{_ring_words(ground.rings)}; {frames}"


def _span_words(frames: tuple[int, int]) -> str:
    return f"{count_words(frames[0])} to {count_words(frames[1])}"


def _ring_words(rings: tuple[int, ...]) -> str:
    """Rings as spans of neighbours: "rings 1 to 4, 7"."""
    spans: list[list[int]] = []
    for ring in rings:
        if spans and ring == spans[-1][-1] + 1:
            spans[-1] = [spans[-1][0], ring]
        else:
            spans.append([ring])
    words = ", ".join(" to ".join(str(edge) for edge in span) for span in spans)
    return f"ring {words}" if len(rings) == 1 else f"rings {words}"
