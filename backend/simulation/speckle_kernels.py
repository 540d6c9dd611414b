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
    """Advance one complex Gaussian field by one frame, in place: field <- keep field + renew innovation.

    Parameters
    ----------
    field : ndarray, shape (2, y, x), float32
        Real and imaginary part.
    pool : ndarray, shape (2, pool y >= y, pool x >= x), float32
        One periodic band-limited field of unit mean intensity; its shifted, rotated copy is the innovation.
    keep, renew : ndarray, shape (q bin,), float32
        exp(-Gamma dt) and sqrt(1 - keep^2) of each q bin.
    q_bin : ndarray, shape (y, x), uint16
    """
    rows, columns = q_bin.shape
    pool_rows = pool.shape[1]
    pool_columns = pool.shape[2]
    cosine = np.float32(math.cos(phase_rad))
    sine = np.float32(math.sin(phase_rad))
    first_part = min(columns, pool_columns - shift_x)
    for y in range(rows):
        pool_y = (y + shift_y) % pool_rows
        bins = q_bin[y]
        real = field[0, y]
        imaginary = field[1, y]
        pool_real = pool[0, pool_y]
        pool_imaginary = pool[1, pool_y]
        # Two straight runs instead of a wrapped index, so that the loop vectorises.
        for part in range(2):
            start = 0 if part == 0 else first_part
            length = first_part if part == 0 else columns - first_part
            source = shift_x if part == 0 else 0
            target_bins = bins[start : start + length]
            target_real = real[start : start + length]
            target_imaginary = imaginary[start : start + length]
            new_real = pool_real[source : source + length]
            new_imaginary = pool_imaginary[source : source + length]
            for x in range(length):
                a = keep[target_bins[x]]
                b = renew[target_bins[x]]
                target_real[x] = a * target_real[x] + b * (cosine * new_real[x] - sine * new_imaginary[x])
                target_imaginary[x] = a * target_imaginary[x] + b * (
                    sine * new_real[x] + cosine * new_imaginary[x]
                )


@numba.njit(cache=True, nogil=True, error_model="numpy")
def count_photons(
    fields: np.ndarray,
    amplitudes: np.ndarray,
    coherent_share: float,
    mean_counts: np.ndarray,
    q_bin: np.ndarray,
    fixed: np.ndarray,
    key_a: np.uint32,
    key_b: np.uint32,
    counts: np.ndarray,
) -> None:
    """Fill ``counts`` with Poisson counts of the intensity that the fields make.

    The relative intensity is (1 - coherent_share) + coherent_share * mean over modes of |sum over components|^2.

    Parameters
    ----------
    fields : ndarray, shape (mode, component, 2, y, x), float32
    amplitudes : ndarray, shape (component,), float32
        Square roots of the mixture weights.
    mean_counts : ndarray, shape (q bin,), float32, photons per pixel and frame
    q_bin : ndarray, shape (y, x), uint16
    fixed : ndarray, shape (y, x), uint8
        0 = counts photons, 1 = reads the maximum of the type, 2 = reads zero.
    key_a, key_b : uint32
        Random key of this frame.
    counts : ndarray, shape (y, x), unsigned integer
    """
    rows, columns = q_bin.shape
    modes = fields.shape[0]
    components = fields.shape[1]
    masked_value = np.iinfo(counts.dtype).max
    background = np.float32(1.0 - coherent_share)
    share = np.float32(coherent_share / modes)
    intensity = np.empty(columns, np.float32)
    sum_real = np.empty(columns, np.float32)
    sum_imaginary = np.empty(columns, np.float32)
    uniform = np.empty(columns, np.float32)
    to_unit = np.float32(2.0**-32)
    for y in range(rows):
        intensity[:] = background
        for mode in range(modes):
            sum_real[:] = np.float32(0.0)
            sum_imaginary[:] = np.float32(0.0)
            for component in range(components):
                amplitude = amplitudes[component]
                real = fields[mode, component, 0, y]
                imaginary = fields[mode, component, 1, y]
                for x in range(columns):
                    sum_real[x] += amplitude * real[x]
                    sum_imaginary[x] += amplitude * imaginary[x]
            for x in range(columns):
                intensity[x] += share * (sum_real[x] * sum_real[x] + sum_imaginary[x] * sum_imaginary[x])
        first_pixel = np.uint32(y * columns)
        bins = q_bin[y]
        for x in range(columns):
            intensity[x] *= mean_counts[bins[x]]
            bits = _uniform_bits(np.uint32(first_pixel + np.uint32(x)), key_a, key_b)
            uniform[x] = np.float32(bits) * to_unit
        for x in range(columns):
            mean = intensity[x]
            count = 0
            # 1 - exp(-mean) <= mean: most pixels are known to be empty without an exponential.
            if uniform[x] < mean:
                if mean > _LARGEST_DIRECT_MEAN:
                    count = _count_large_mean(mean, y * columns + x, key_a, key_b)
                else:
                    count = _count_by_inversion(mean, 1.0 - np.float64(uniform[x]))
            counts[y, x] = count
        for x in range(columns):
            if fixed[y, x] == 1:
                counts[y, x] = masked_value
            elif fixed[y, x] == 2:
                counts[y, x] = 0
