"""Masks: marked pixels, gaps and their margin, staff's own file, hot pixels and not bright speckle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from speckle_movie import SpeckleMovie, batch_of

from backend.detector.mask import build_mask, hot_pixels, load_mask_file
from backend.errors import SettingsError
from backend.frames import DetectorInfo
from backend.settings import MaskSettings

SHAPE = (40, 50)


def detector(pixel_mask: np.ndarray | None = None) -> DetectorInfo:
    return DetectorInfo(name="e4m", shape_yx=SHAPE, dtype=np.dtype(np.uint16), pixel_mask=pixel_mask)


def nowhere() -> np.ndarray:
    return np.zeros(SHAPE, bool)


@pytest.mark.parametrize("margin", [0, 1, 3])
def test_gaps_take_a_margin_of_their_neighbours_with_them(margin: int) -> None:
    marked = nowhere()
    marked[18:22] = True
    marked[:, 25:27] = True
    marked[3, 4] = True
    mask = build_mask(detector(marked), MaskSettings(gap_margin_px=margin), nowhere().ravel(), None)
    expected = ~marked
    expected[18 - margin : 22 + margin] = False
    expected[:, 25 - margin : 27 + margin] = False
    assert np.array_equal(mask.good, expected)
    assert mask.marked_by_detector == np.count_nonzero(marked)
    assert mask.next_to_gaps == np.count_nonzero(~expected & ~marked)
    assert mask.at_type_maximum == mask.from_file == mask.hot == 0


def test_gaps_that_nobody_marked_are_found_by_the_type_maximum() -> None:
    always = nowhere()
    always[10:12] = True
    always[30, 30] = True
    mask = build_mask(detector(), MaskSettings(), always.ravel(), None)
    assert mask.at_type_maximum == 101
    assert mask.marked_by_detector == 0
    assert not mask.good[9:13].any()
    assert mask.good[8].all() and mask.good[30, 31] and not mask.good[30, 30]


def test_each_pixel_is_counted_for_one_cause_only() -> None:
    marked, always, staff = nowhere(), nowhere(), ~nowhere()
    marked[0:2] = True
    always[1:3] = True
    staff[2:5] = False
    mask = build_mask(detector(marked), MaskSettings(gap_margin_px=1), always.ravel(), staff)
    causes = (mask.marked_by_detector, mask.at_type_maximum, mask.next_to_gaps, mask.from_file)
    assert causes == (100, 50, 50, 50)
    assert sum(causes) == np.count_nonzero(~mask.good)


def test_a_detector_without_any_good_pixel_is_no_error() -> None:
    mask = build_mask(detector(~nowhere()), MaskSettings(gap_margin_px=5), nowhere().ravel(), None)
    assert not mask.good.any()


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64])
def test_a_mask_file_is_read_as_one_for_good(tmp_path: Path, dtype: type) -> None:
    good = np.random.default_rng(1).random(SHAPE) > 0.5
    np.save(tmp_path / "mask.npy", good.astype(dtype))
    assert np.array_equal(load_mask_file(tmp_path / "mask.npy", SHAPE), good)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x93NUMPY\x01\x00", None])
def test_a_mask_file_that_cannot_be_read_is_refused_in_words(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "mask.npy"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match="mask.npy cannot be read") as refusal:
        load_mask_file(path, SHAPE)
    assert refusal.value.still_works and "[mask]" in refusal.value.try_this


def test_a_mask_of_pickled_objects_is_not_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "mask.npy", np.array([{}, {}], object), allow_pickle=True)
    with pytest.raises(SettingsError):
        load_mask_file(tmp_path / "mask.npy", SHAPE)


@pytest.mark.parametrize("array", [np.ones((50, 40), bool), np.ones(2000, bool)])
def test_a_mask_of_another_shape_is_refused_in_words(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "mask.npy", array)
    with pytest.raises(SettingsError, match="has the shape"):
        load_mask_file(tmp_path / "mask.npy", SHAPE)


@pytest.mark.parametrize(
    "array", [np.full(SHAPE, 2), np.full(SHAPE, 0.5), np.full(SHAPE, np.nan), np.full(SHAPE, "1")]
)
def test_a_mask_of_other_values_is_refused_in_words(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "mask.npy", array)
    with pytest.raises(SettingsError, match="other values than 0 and 1"):
        load_mask_file(tmp_path / "mask.npy", SHAPE)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, float])
def test_zeros_and_ones_of_any_type_make_a_mask(tmp_path: Path, dtype: type) -> None:
    good = np.random.default_rng(1).random(SHAPE) > 0.5
    np.save(tmp_path / "mask.npy", good.astype(dtype))
    assert np.array_equal(load_mask_file(tmp_path / "mask.npy", SHAPE), good)


def test_a_mask_archive_is_refused_in_words(tmp_path: Path) -> None:
    with (tmp_path / "mask.npy").open("wb") as file:
        np.savez(file, mask=np.ones(SHAPE, bool))
    with pytest.raises(SettingsError, match="mask.npy"):
        load_mask_file(tmp_path / "mask.npy", SHAPE)


TWO_RINGS = np.repeat([0, 1], 5000)
TAIL = MaskSettings().hot_pixel_tail


def poisson_movie(frames: int, low: float = 0.02, high: float = 1.0) -> np.ndarray:
    mean = np.where(TWO_RINGS == 0, low, high).reshape(100, 100)
    return np.random.default_rng(2).poisson(mean, (frames, 100, 100)).astype(np.uint32)


def test_hot_pixels_are_found_in_their_own_ring() -> None:
    movie = poisson_movie(30)
    movie[::5, 3, 7] = 12
    movie[:, 80, 8] = 60
    movie[:4, 90, 9] = 200
    assert hot_pixels(batch_of(movie), TWO_RINGS, TAIL).tolist() == [307, 8008, 9009]


def test_three_bright_frames_are_a_cosmic_ray_not_a_hot_pixel() -> None:
    movie = poisson_movie(30)
    movie[:3, 3, 7] = 500
    assert hot_pixels(batch_of(movie), TWO_RINGS, TAIL).size == 0
    assert hot_pixels(batch_of(movie[:3]), TWO_RINGS, TAIL).size == 0


def test_quiet_pixels_are_not_hot() -> None:
    assert hot_pixels(batch_of(poisson_movie(200)), TWO_RINGS, TAIL).size == 0
    assert hot_pixels(batch_of(np.zeros((50, 100, 100), np.uint32)), TWO_RINGS, TAIL).size == 0


@pytest.mark.parametrize("mean", [0.01, 0.3, 5.0])
def test_bright_static_speckle_is_not_taken_for_hot_pixels(mean: float) -> None:
    """Fully coherent speckle that does not move: the same pixels are bright in every frame."""
    movie = SpeckleMovie(np.full((100, 100), mean), 0.0, 1, np.random.default_rng(3))
    frames = np.stack(list(movie.frames(60)))
    assert hot_pixels(batch_of(frames), np.zeros(10000, np.int16), TAIL).size == 0


def test_pixels_in_no_ring_are_not_judged() -> None:
    """Around the direct beam the intensity has no common mean: bright pixels there are not hot."""
    movie = poisson_movie(30)
    movie[:, 50:60] += 1000
    movie[:, 3, 7] = 60
    ring = TWO_RINGS.copy()
    ring[5000:6000] = -1
    assert hot_pixels(batch_of(movie), ring, TAIL).tolist() == [307]
