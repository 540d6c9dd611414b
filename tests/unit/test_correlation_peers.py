"""g2 agrees with other programs on the same data, where they are installed.

scikit-beam in the project's own environment; xpcs-correlator in the environment that ``python -m benchmarks.peers``
makes.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from eiger_files import write_data_file
from speckle_movie import SpeckleMovie, block_partition
from word_movies import correlate

from backend.photon_events import RingPartition

PROJECT = Path(__file__).parents[2]
PEERS = PROJECT / ".setup" / "peers"
LAGS = 8


@pytest.fixture(scope="module")
def partition() -> RingPartition:
    return block_partition((48, 50), rings=3, sectors=4, unused=120)


def equal_ring_sums(movie: np.ndarray, partition: RingPartition) -> np.ndarray:
    """The movie with photons added until all frames have equally many in each ring.

    scikit-beam divides by averages over time, we by products of single frames: then both are the same.
    """
    flat = movie.reshape(len(movie), -1).copy()
    rings = partition.ring_map().ravel()
    for ring in range(1, partition.rings + 1):
        inside = np.flatnonzero(rings == ring)
        missing = flat[:, inside].sum(axis=1)
        missing = missing.max() - missing
        for frame, photons in enumerate(missing):
            np.add.at(flat[frame], np.resize(inside, photons), 1)
    return flat.reshape(movie.shape)


def test_g2_is_that_of_scikit_beam(partition: RingPartition) -> None:
    scikit_beam = pytest.importorskip("skbeam.core.correlation", exc_type=ImportError)
    speckle = SpeckleMovie(np.full((48, 50), 0.4), 0.05, 4, np.random.default_rng(1))
    movie = equal_ring_sums(np.stack(list(speckle.frames(300))), partition)
    levels = 4
    g2, lag_frames = scikit_beam.multi_tau_auto_corr(levels, LAGS, partition.ring_map(), movie)
    ours = correlate(movie, partition, LAGS).result()
    # The first lag of its higher levels is one of single frames or smaller sums with us.
    same = [lag << level for level in range(levels) for lag in range(LAGS // 2 + 1 if level else 1, LAGS)]
    assert set(same) <= set(lag_frames.tolist()) & set(ours.lag_frames.tolist())
    theirs = g2[np.searchsorted(lag_frames, same)].T
    np.testing.assert_allclose(ours.g2[:, np.searchsorted(ours.lag_frames, same)], theirs, rtol=1e-12)


def answers_of_peers(*wishes: dict[str, object]) -> list[dict[str, object]]:
    """What the functions of the peers' environment answer."""
    python = PEERS / "bin" / "python"
    if not (PEERS / "sparse.installed").exists():
        pytest.skip("xpcs-correlator is not installed; python -m benchmarks.peers installs it")
    done = subprocess.run(
        [str(python), "-m", "benchmarks.peer_side.server"],
        input="".join(json.dumps(wish) + "\n" for wish in wishes),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        cwd=PROJECT,
    )
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, object]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(wishes) and not any("error" in answer for answer in answers), answers
    return answers


def test_g2_and_ring_counts_are_those_of_xpcs_correlator(tmp_path: Path, partition: RingPartition) -> None:
    speckle = SpeckleMovie(np.full((48, 50), 0.4), 0.05, 4, np.random.default_rng(2))
    movie = np.stack(list(speckle.frames(150, i0_noise=0.3)))
    data = write_data_file(tmp_path / "a_data_000001.h5", movie)
    rings, result = tmp_path / "rings.npy", tmp_path / "result.npz"
    np.save(rings, (partition.ring_map() - 1).astype(np.int16))
    load = {"name": "movie", "files": [str(data)], "frames": 150, "ring_of_pixel": str(rings)}
    run = {"name": "movie", "threads": 2, "from_files": False, "result": str(result)}
    answers_of_peers(
        {"name": "load_movie", "arguments": load},
        {"name": "run_chain", "arguments": run},
    )
    ours = correlate(movie, partition, LAGS).result()
    with np.load(result) as theirs:
        counts = [movie[:, partition.ring_map() == ring + 1].sum(axis=1) for ring in range(3)]
        assert np.array_equal(theirs["ring_counts"], counts)
        lags = np.arange(1, LAGS + 1)
        np.testing.assert_allclose(ours.g2[:, lags], theirs["g2"][:, lags], rtol=1e-12)
