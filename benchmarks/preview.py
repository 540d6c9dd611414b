"""The program's full preview against the peer's core chain, which gives g2 alone and only at the end."""

from __future__ import annotations

import os

from benchmarks import ours
from benchmarks.chain import PEER_CHAIN
from benchmarks.comparison import Row, interleave, times_faster
from benchmarks.session import Session

_PHOTONS, _FRAMES, _GOAL = 0.01, 320, 3.7


def measure(session: Session) -> list[Row]:
    """One row; both sides per frame, because ours leaves out the first frames, in which it looks for mask and rings."""
    movie = session.movie("eiger4m", _PHOTONS, _FRAMES)
    if len(movie.pieces) < 2:
        raise ValueError("the preview needs more than 64 frames: the first 64 are not timed")
    peers, name = session.peers_with(movie)
    # The program takes all processors; the peer gets as many.
    threads = os.cpu_count() or 1
    result = str(peers.scratch / "preview.npz")

    def peer_chain() -> float:
        answer = peers.call("run_chain", name=name, threads=threads, from_files=False, result=result)
        return float(answer["seconds"]) / movie.kind.frames

    turns = interleave(lambda: ours.run_preview(movie), peer_chain, session.choices.rounds)
    return [
        times_faster(
            turns,
            name="preview",
            case=f"{movie.kind.words}, chunks in memory",
            against=PEER_CHAIN,
            frames=1,
            goal=session.goal(_GOAL),
            threads=threads,
            note="ours: all that the window shows, with errors and the two-time map of one ring after every 64 frames; "
            "the peer: g2 and I(q, t) once",
        )
    ]
