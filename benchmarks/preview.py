"""The program's full preview against the peer's core chain, which gives g2 alone and only at the end."""

from __future__ import annotations

from benchmarks import ours
from benchmarks.chain import PEER_CHAIN
from benchmarks.comparison import Row, interleave, times_faster
from benchmarks.session import Session

_PHOTONS, _MOVIE_FRAMES, _GOAL = 0.01, 320, 3.7
# Some seconds: the costly parts of snapshots are made twice a second.
_PASSES = 10


def measure(session: Session) -> list[Row]:
    """Rows without and with damage verdicts."""
    return [_compare(session, verdicts) for verdicts in (False, True)]


def _compare(session: Session, verdicts: bool) -> Row:
    """Both sides per frame: ours leaves out the frames in which it looks for mask and rings, and goes on for longer."""
    movie = session.movie("eiger4m", _PHOTONS, _MOVIE_FRAMES)
    frames = _PASSES * movie.kind.frames
    peers, name = session.peers_with(movie)
    # The program takes all processors that it may use, which are as many.
    threads = session.choices.threads
    result = str(peers.scratch / "preview.npz")

    def peer_chain() -> float:
        answer = peers.call("run_chain", name=name, threads=threads, from_files=False, result=result)
        return float(answer["seconds"]) / movie.kind.frames

    turns = interleave(
        lambda: ours.run_preview(movie, frames, verdicts=verdicts), peer_chain, session.choices.rounds
    )
    return times_faster(
        turns,
        name="preview",
        case=f"{movie.kind.words}, ours over and over up to T = {frames:,}, "
        f"{'with' if verdicts else 'without'} damage verdicts",
        against=PEER_CHAIN,
        frames=1,
        goal=session.goal(_GOAL),
        threads=threads,
        note="ours: fits and all that the window shows, with errors and the two-time map of one ring, made twice a "
        "second as in the program; the peer: g2 and I(q, t) once",
    )
