"""Compiled loops of the speckle movie: Ornstein-Uhlenbeck step of the field and photon counting.

Plain loops over one frame, no objects, no global state: the same arguments always give the same counts.
"""

from __future__ import annotations

import math

import numba
import numpy as np

_WEYL = np.uint32(0x9E3779B9)
_MIX_A = np.uint32(0x7FEB352D)
_MIX_B = np.uint32(0x846CA68B)
_LARGEST_DIRECT_MEAN = 24.0
_TO_UNIT = np.float32(2.0**-32)

# What a pixel that counts nothing reads.
READS_MAXIMUM = 1
READS_ZERO = 2


@numba.njit(cache=True, nogil=True, inline="always")
def _mix(value: np.uint32) -> np.uint32:
    """32-bit hash with full avalanche (two multiply-xorshift rounds)."""
    value = np.uint32(value ^ (value >> np.uint32(16)))
    value = np.uint32(value * _MIX_A)
    value = np.uint32(value ^ (value >> np.uint32(15)))
    value = np.uint32(value * _MIX_B)
    return np.uint32(value ^ (value >> np.uint32(16)))


@numba.njit(cache=True, nogil=True, inline="always")
def _uniform_bits(counter: np.uint32, key_a: np.uint32, key_b: np.uint32) -> np.uint32:
    """32 random bits for a counter under a 64-bit key; needs no state, so pixels do not wait for each other."""
    first = _mix(np.uint32(np.uint32(counter * _WEYL) + key_a))
    return _mix(np.uint32(first ^ key_b))


@numba.njit(cache=True, nogil=True)
def _count_by_inversion(mean: float, uniform: float) -> int:
    """Poisson count whose cumulative probability first exceeds ``uniform`` (in [0, 1))."""
    # In single precision the sum of all probabilities may stay below a ``uniform`` close to 1: in every tenth frame of
    # the 4M a dark pixel would count six photons.
    mean = np.float64(mean)
    probability = math.exp(-mean)
    cumulative = probability
    count = 0
    # The last condition ends the walk where double precision cannot add to the sum any more.
    while uniform >= cumulative and (count < mean or probability > 1e-18):
        count += 1
        probability *= mean / count
        cumulative += probability
    return count


@numba.njit(cache=True, nogil=True)
def _count_large_mean(mean: float, pixel: int, key_a: np.uint32, key_b: np.uint32) -> int:
    """Poisson count for a mean beyond direct inversion: the sum of independent counts of smaller means."""
    parts = int(math.ceil(mean / _LARGEST_DIRECT_MEAN))
    total = 0
    for part in range(parts):
        # Each part draws under its own key, far from the keys of the first draw of any pixel.
        bits = _uniform_bits(np.uint32(pixel), _mix(np.uint32(key_a + np.uint32(part + 1))), key_b)
        total += _count_by_inversion(mean / parts, bits * 2.0**-32)
    return total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _advance_run(
    real: np.ndarray,
    imaginary: np.ndarray,
    new_real: np.ndarray,
    new_imaginary: np.ndarray,
    turn: tuple[float, float],
    keep: np.ndarray,
    renew: np.ndarray,
    q_bin: np.ndarray,
) -> None:
    """The step of :func:`advance_field` along one run of a row; ``turn`` is (cosine, sine) of the phase.

    Runs come as one-dimensional slices: only these are known to be contiguous when the loop is compiled.
    """
    cosine, sine = turn
    for x in range(len(q_bin)):
        a = keep[q_bin[x]]
        b = renew[q_bin[x]]
        real[x] = a * real[x] + b * (cosine * new_real[x] - sine * new_imaginary[x])
        imaginary[x] = a * imaginary[x] + b * (sine * new_real[x] + cosine * new_imaginary[x])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def advance_field(
    field: np.ndarray,
    pool: np.ndarray,
    shift_y: int,
    shift_x: int,
    phase_rad: float,
    keep: np.ndarray,
    renew: np.ndarray,
    q_bin: np.ndarray,
) -> None:
    """Advance one complex Gaussian field by one frame in place: field <- keep field + renew innovation.

    Parameters
    ----------
    field : ndarray, shape (2, y, x), float32
        Real and imaginary part.
    pool : ndarray, shape (2, pool y >= y, pool x >= x), float32
        Periodic band-limited field of unit mean intensity; its shifted, rotated copy is the innovation.
    keep, renew : ndarray, shape (q bin,), float32
        exp(-Gamma dt) and sqrt(1 - keep^2) of each q bin.
    q_bin : ndarray, shape (y, x), uint16
    """
    rows, columns = q_bin.shape
    turn = (np.float32(math.cos(phase_rad)), np.float32(math.sin(phase_rad)))
    # Two straight runs per row instead of a wrapped index, so that the inner loop vectorises.
    split = min(columns, pool.shape[2] - shift_x)
    for y in range(rows):
        real, imaginary, bins = field[0, y], field[1, y], q_bin[y]
        pool_y = (y + shift_y) % pool.shape[1]
        new_real, new_imaginary = pool[0, pool_y], pool[1, pool_y]
        run_real, run_imaginary = (
            new_real[shift_x : shift_x + split],
            new_imaginary[shift_x : shift_x + split],
        )
        _advance_run(
            real[:split], imaginary[:split], run_real, run_imaginary, turn, keep, renew, bins[:split]
        )
        run_real, run_imaginary = new_real[: columns - split], new_imaginary[: columns - split]
        _advance_run(
            real[split:], imaginary[split:], run_real, run_imaginary, turn, keep, renew, bins[split:]
        )


@numba.njit(cache=True, nogil=True, error_model="numpy")
def add_intensity(
    fields: np.ndarray, amplitudes: np.ndarray, coherent_share: float, intensity: np.ndarray
) -> None:
    """Add to ``intensity`` what the fields make: coherent_share * mean over modes of |sum over components|^2.

    Parameters
    ----------
    fields : ndarray, shape (mode, component, 2, y, x), float32
    amplitudes : ndarray, shape (component,), float32
        Square roots of the mixture weights.
    intensity : ndarray, shape (y, x), float32, relative to its mean
    """
    work = np.empty((2, intensity.shape[1]), np.float32)
    for row in range(len(intensity)):
        _add_row(fields, row, amplitudes, coherent_share, work, intensity[row])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _add_row(
    fields: np.ndarray,
    row: int,
    amplitudes: np.ndarray,
    coherent_share: float,
    work: np.ndarray,
    intensity: np.ndarray,
) -> None:
    modes, components = fields.shape[0], fields.shape[1]
    share = np.float32(coherent_share / modes)
    sum_real, sum_imaginary = work[0], work[1]
    for mode in range(modes):
        sum_real[:] = np.float32(0.0)
        sum_imaginary[:] = np.float32(0.0)
        for component in range(components):
            amplitude = amplitudes[component]
            real, imaginary = fields[mode, component, 0, row], fields[mode, component, 1, row]
            for x in range(len(intensity)):
                sum_real[x] += amplitude * real[x]
                sum_imaginary[x] += amplitude * imaginary[x]
        for x in range(len(intensity)):
            intensity[x] += share * (sum_real[x] * sum_real[x] + sum_imaginary[x] * sum_imaginary[x])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _count_row(
    mean_counts: np.ndarray,
    uniform: np.ndarray,
    first_pixel: np.uint32,
    key_a: np.uint32,
    key_b: np.uint32,
    fixed: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Counts of one row from its expected counts and one uniform number per pixel, each of shape (x,)."""
    masked_value = np.iinfo(counts.dtype).max
    for x in range(len(counts)):
        mean = mean_counts[x]
        count = 0
        # 1 - exp(-mean) <= mean: most pixels are known to be empty without an exponential.
        if uniform[x] < mean:
            if mean > _LARGEST_DIRECT_MEAN:
                count = _count_large_mean(mean, first_pixel + np.uint32(x), key_a, key_b)
            else:
                # The middle of the numbers that 32 bits stand for: never 1, of which there is no quantile.
                count = _count_by_inversion(mean, 1.0 - (np.float64(uniform[x]) + 2.0**-33))
        counts[x] = count
    for x in range(len(counts)):
        if fixed[x] == READS_MAXIMUM:
            counts[x] = masked_value
        elif fixed[x] == READS_ZERO:
            counts[x] = 0


@numba.njit(cache=True, nogil=True, error_model="numpy")
def count_photons(
    relative: np.ndarray,
    mean_counts: np.ndarray,
    q_bin: np.ndarray,
    fixed: np.ndarray,
    key_a: np.uint32,
    key_b: np.uint32,
    counts: np.ndarray,
) -> None:
    """Fill ``counts`` with Poisson counts.

    Parameters
    ----------
    relative : ndarray, shape (y, x), float32
        Intensity relative to its mean.
    mean_counts : ndarray, shape (q bin,), float32, photons per pixel and frame
    q_bin : ndarray, shape (y, x), uint16
    fixed : ndarray, shape (y, x), uint8
        0 = counts photons, otherwise ``READS_MAXIMUM`` of the type or ``READS_ZERO``.
    key_a, key_b : uint32
        Random key of this frame.
    counts : ndarray, shape (y, x), unsigned integer
    """
    rows, columns = q_bin.shape
    intensity = np.empty(columns, np.float32)
    uniform = np.empty(columns, np.float32)
    for y in range(rows):
        first_pixel = np.uint32(y * columns)
        for x in range(columns):
            intensity[x] = relative[y, x] * mean_counts[q_bin[y, x]]
            bits = _uniform_bits(np.uint32(first_pixel + np.uint32(x)), key_a, key_b)
            uniform[x] = np.float32(bits) * _TO_UNIT
        _count_row(intensity, uniform, first_pixel, key_a, key_b, fixed[y], counts[y])
