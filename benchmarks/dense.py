"""One photon per pixel and more: ours from compressed chunks, boost-corr on the CPU from decoded frames."""

from __future__ import annotations

from benchmarks import ours
from benchmarks.comparison import Row, interleave, times_faster
from benchmarks.session import Session

_PHOTONS, _FRAMES, _GOAL = 1.0, 512, 10.0


def measure(session: Session) -> list[Row]:
    """One row; the peer's decoding is not counted, ours is."""
    movie = session.movie("eiger500k", _PHOTONS, _FRAMES)
    peers = session.peers(dense=True)
    ring = peers.send("ring_of_pixel", movie.ring_of_pixel)
    name, threads = movie.kind.name, session.choices.threads
    peers.call("load_frames", name=name, files=movie.data_files, frames=movie.kind.frames, ring_of_pixel=ring)

    def peer() -> float:
        return float(peers.call("run_dense", name=name, threads=threads)["seconds"])

    turns = interleave(lambda: ours.run_chain(movie, threads).seconds, peer, session.choices.rounds)
    return [
        times_faster(
            turns,
            name="dense",
            case=movie.kind.words,
            against="boost-corr on the CPU",
            frames=movie.kind.frames,
            goal=session.goal(_GOAL),
            threads=threads,
            note="ours from compressed chunks, the peer from decoded frames in memory",
        )
    ]
