"""What all measurements of one run share: choices, the peers, and movies that are loaded once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.movies import Movie, MovieKind, load_movie
from benchmarks.peer_process import PeerProcess
from benchmarks.peers import PROJECT

SCRATCH = PROJECT / ".setup" / "benchmarks"


@dataclass(frozen=True, slots=True)
class Choices:
    """From the command line; ``None`` leaves a choice to the measurement."""

    rounds: int = 5
    threads: int = 2
    frames: int | None = None
    photons: tuple[float, ...] | None = None
    detector: str | None = None
    scratch: Path = SCRATCH


@dataclass(slots=True)
class Session:
    """Handed to every measurement. Use :meth:`close` at the end."""

    choices: Choices
    _peers: dict[bool, PeerProcess] = field(default_factory=dict)

    def peers(self, *, dense: bool = False) -> PeerProcess:
        """The peers' process, started when first asked for."""
        if dense not in self._peers:
            self.choices.scratch.mkdir(parents=True, exist_ok=True)
            self._peers[dense] = PeerProcess(self.choices.scratch, dense=dense)
        return self._peers[dense]

    def goal(self, value: float | None) -> float | None:
        """The number to reach; none when the command line has changed the case that it is meant for."""
        return None if self.choices.frames is not None or self.choices.detector is not None else value

    def movie(self, detector: str, photons: float, frames: int, dtype: str = "uint32") -> Movie:
        """The movie, with frames and detector as chosen on the command line."""
        if dtype not in ("uint16", "uint32"):
            raise ValueError(dtype)
        kind = MovieKind(
            self.choices.detector or detector, photons, self.choices.frames or frames,
            "uint16" if dtype == "uint16" else "uint32",
        )  # fmt: skip
        return load_movie(kind, self.choices.scratch)

    def peers_with(self, movie: Movie) -> tuple[PeerProcess, str]:
        """The peers with the compressed chunks of this movie in memory, and its name there."""
        peers = self.peers()
        ring = peers.send("ring_of_pixel", movie.ring_of_pixel)
        peers.call(
            "load_movie",
            name=movie.kind.name,
            files=movie.data_files,
            frames=movie.kind.frames,
            ring_of_pixel=ring,
        )
        return peers, movie.kind.name

    def peer_versions(self) -> dict[str, str]:
        """Versions of the peers that were used; nothing when none was."""
        versions: dict[str, str] = {}
        for peers in self._peers.values():
            versions |= peers.call("versions")
        return versions

    def close(self) -> None:
        """End the peers."""
        for peers in self._peers.values():
            peers.__exit__(None, None, None)
        self._peers.clear()
