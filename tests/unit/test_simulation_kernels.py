"""The compiled loops against plain numpy and against the Poisson law."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from backend.simulation.speckle_kernels import add_intensity, advance_field, count_photons


def _advanced(field, pool, shift_y, shift_x, phase, keep, renew, q_bin):
    rows, columns = q_bin.shape
    rolled = np.roll(pool[0] + 1j * pool[1], (-shift_y, -shift_x), axis=(0, 1))[:rows, :columns]
    complex_field = keep[q_bin] * (field[0] + 1j * field[1]) + renew[q_bin] * rolled * np.exp(1j * phase)
    return np.stack([complex_field.real, complex_field.imag])


@settings(deadline=None, derandomize=True)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    larger=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    shift=st.tuples(st.integers(0, 100), st.integers(0, 100)),
    phase=st.floats(0, 6.28),
    seed=st.integers(0, 1000),
)
def test_field_step_equals_the_numpy_twin(shape, larger, shift, phase, seed) -> None:
    rng = np.random.default_rng(seed)
    pool_shape = (shape[0] + larger[0], shape[1] + larger[1])
    shift_y, shift_x = shift[0] % pool_shape[0], shift[1] % pool_shape[1]
    field = rng.standard_normal((2, *shape)).astype(np.float32)
    pool = rng.standard_normal((2, *pool_shape)).astype(np.float32)
    keep = rng.uniform(0, 1, 5).astype(np.float32)
    renew = np.sqrt(1 - keep**2)
    q_bin = rng.integers(0, 5, shape).astype(np.uint16)
    expected = _advanced(field, pool, shift_y, shift_x, phase, keep, renew, q_bin)
    advance_field(field, pool, shift_y, shift_x, phase, keep, renew, q_bin)
    assert np.allclose(field, expected, atol=1e-5)


@pytest.mark.parametrize(("modes", "components"), [(1, 1), (3, 1), (2, 4)])
def test_intensity_equals_the_numpy_twin(modes: int, components: int) -> None:
    rng = np.random.default_rng(3)
    fields = rng.standard_normal((modes, components, 2, 5, 7)).astype(np.float32)
    amplitudes = np.sqrt(rng.dirichlet(np.ones(components))).astype(np.float32)
    intensity = np.full((5, 7), 0.75, np.float32)
    add_intensity(fields, amplitudes, 0.25, intensity)
    field = np.einsum("c,mcyx->myx", amplitudes, fields[:, :, 0] + 1j * fields[:, :, 1])
    assert np.allclose(intensity, 0.75 + 0.25 * (np.abs(field) ** 2).mean(axis=0), rtol=1e-5)


def _counts(mean: float, shape=(400, 400), dtype=np.uint32, key=(11, 12), fixed=None) -> np.ndarray:
    counts = np.empty(shape, dtype)
    count_photons(
        np.ones(shape, np.float32),
        np.array([mean], np.float32),
        np.zeros(shape, np.uint16),
        np.zeros(shape, np.uint8) if fixed is None else fixed,
        np.uint32(key[0]),
        np.uint32(key[1]),
        counts,
    )
    return counts


@pytest.mark.parametrize("mean", [0.01, 0.3, 2.0, 20.0, 70.0, 500.0])
def test_counts_follow_the_poisson_law(mean: float) -> None:
    counts = _counts(mean).ravel()
    edges = np.unique(stats.poisson.ppf(np.linspace(0.001, 0.999, 15), mean).astype(int))
    observed = np.histogram(counts, [-1, *(edges + 0.5), np.inf])[0]
    expected = np.diff([0.0, *stats.poisson.cdf(edges, mean), 1.0]) * counts.size
    enough = expected > 5
    statistic = ((observed - expected)[enough] ** 2 / expected[enough]).sum()
    assert stats.chi2.sf(statistic, enough.sum() - 1) > 0.003
    assert counts.mean() == pytest.approx(mean, abs=3 * np.sqrt(mean / counts.size))


def test_dark_pixels_never_count_many_photons() -> None:
    mean, frames, shape = 0.002, 60, (1000, 1500)
    most = [int(_counts(mean * (1 + frame / 60), shape, key=(frame, 7)).max()) for frame in range(frames)]
    pixels = frames * shape[0] * shape[1]
    assert pixels * stats.poisson.sf(4, 2 * mean) < 1e-4
    assert max(most) <= 4


def test_neighbours_and_frames_are_independent() -> None:
    first = _counts(1.0, key=(1, 2)).astype(float) - 1.0
    second = _counts(1.0, key=(2, 2)).astype(float) - 1.0
    bound = 3 / np.sqrt(first.size)
    for pair in ((first[:, 1:], first[:, :-1]), (first[1:], first[:-1]), (first, second)):
        assert abs(np.mean(pair[0] * pair[1])) < bound


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
def test_fixed_pixels_read_maximum_or_zero(dtype) -> None:
    fixed = np.zeros((20, 30), np.uint8)
    fixed[3], fixed[5] = 1, 2
    counts = _counts(4.0, (20, 30), dtype, fixed=fixed)
    assert (counts[3] == np.iinfo(dtype).max).all()
    assert (counts[5] == 0).all()
    assert 3.5 < np.delete(counts, [3, 5], axis=0).mean() < 4.5


def test_no_light_gives_no_photons() -> None:
    assert not _counts(0.0).any()
