"""Compiles or loads all kernels before the first frame comes, so that nothing is compiled in the middle of a series.

A kernel is compiled anew for every combination of argument types it meets. Pixel type, brightness and length of a
series reach the kernels as plain numbers; what makes types differ is listed here: plain and compressed frames.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from backend.correlation import two_time
from backend.correlation.multitau import MultiTau
from backend.detector.event_decoder import EventDecoder
from backend.detector.pixel_watch import PixelWatch
from backend.detector.word_decoder import WordDecoder
from backend.frames import DetectorInfo, FrameBatch, SeriesInfo
from backend.photon_events import RingPartition
from backend.photon_words import WORD_FRAMES, PhotonWords
from backend.pixel_order import order_pixels
from backend.preview_image import PreviewImage
from backend.series_analysis import SeriesAnalysis
from backend.settings import Settings
from backend.snapshot_parts import two_time_part

_SHAPE_YX = (72, 72)
_FRAMES = WORD_FRAMES + 2
_DTYPE = np.dtype(np.uint16)
_PIXELS = 9
# An empty frame of 9 pixels: header (18 bytes in blocks of 16), one LZ4 block of a run of zeros, and the ninth pixel,
# which stands behind the blocks as it is.
_EMPTY_CHUNK = bytes(
    [0, 0, 0, 0, 0, 0, 0, 18, 0, 0, 0, 16, 0, 0, 0, 10, 0x16, 0, 1, 0, 0x50, 0, 0, 0, 0, 0, 0, 0]
)


def warm_up() -> None:
    """Run every kernel once; takes 80 s the first time on a machine and a moment from the cache."""
    _analyse_plain_frames()
    _decode_compressed_frames()
    two_time.warm_up()


def _analyse_plain_frames() -> None:
    """A whole series of frozen speckle, longer than a word, with a frame that has to be taken out again."""
    analysis = SeriesAnalysis(_series(), Settings())
    random = np.random.default_rng(0)
    frames = random.poisson(random.exponential(0.3, _SHAPE_YX), (_FRAMES, *_SHAPE_YX)).astype(_DTYPE)
    chunks = [frame.tobytes() for frame in frames]
    chunks[-1] = b""
    analysis.add(
        FrameBatch("warm-up_00000", np.arange(_FRAMES), tuple(chunks), "raw", _DTYPE, _SHAPE_YX, "warm-up")
    )
    result = analysis.g2()
    if result is not None:
        two_time_part(analysis, 0, result)
    _look_at_image(analysis)
    analysis.finish()


def _look_at_image(analysis: SeriesAnalysis) -> None:
    """Picture and odd pixels, with few photons and with more than fit into 32 bits."""
    if analysis.plan is None or analysis.sums is None or analysis.plan.partition is None:
        return
    preview = PreviewImage(analysis.plan, Settings().publish.image_max_pixels)
    image = analysis.sums.image
    for frames in range(1, 3):
        preview.part(image, np.empty(0, np.int64))
        PixelWatch(analysis.plan.partition, 1.0, 1.0).look(image.counts, frames)
        image.target(np.iinfo(np.uint32).max)


def _series() -> SeriesInfo:
    detector = DetectorInfo(
        "warm-up", _SHAPE_YX, _DTYPE, pixel_size_m=75e-6, distance_m=5.0, wavelength_m=1.5e-10,
        beam_center_yx_px=(36.0, 36.0),
    )  # fmt: skip
    return SeriesInfo(
        "warm-up_00000", "warm-up", 0, Path("."), detector,
        expected_frames=_FRAMES, frame_time_s=0.01, started_at=datetime.now(UTC),
        # Uneven, so that the kernels for that run beside those of every series.
        frame_start_s=0.01 * np.arange(_FRAMES) ** 1.5,
    )  # fmt: skip


def _decode_compressed_frames() -> None:
    """Three words without a photon: the first as words, the second and third as lists."""
    partition = _one_ring()
    order = order_pixels(partition.cell_of_pixel, 1, WORD_FRAMES)
    words, multitau = PhotonWords(order), MultiTau(partition, order)
    good = np.ones(partition.shape_yx, bool)
    # Two frames: one row of a table would look as if the table had one axis only.
    batch = FrameBatch("warm-up", np.arange(2), (_EMPTY_CHUNK,) * 2, "bslz4", _DTYPE, good.shape)
    with EventDecoder(good, _DTYPE, threads=1) as decoder:
        decoder.decode(batch)
    for word in range(3):
        if word:
            words.turn()
        WordDecoder(good, order, _DTYPE).decode(batch, 0, words)
        multitau.add(words, WORD_FRAMES)
    # The list becomes words again.
    words.begin_writing()


def _one_ring() -> RingPartition:
    cells, number, q_inv_nm = np.zeros(_PIXELS, np.int16), np.array([_PIXELS]), np.ones(1)
    return RingPartition(
        shape_yx=(1, _PIXELS), rings=1, sectors=1, fine_rings=1, cell_of_pixel=cells, fine_of_pixel=cells,
        ring_of_fine=cells[:1], cell_pixels=number[None], fine_pixels=number, q_inv_nm=q_inv_nm,
        fine_q_inv_nm=q_inv_nm, ring_edges_px=np.array([[0.0, _PIXELS]]), beam_center_yx_px=(0.0, 0.0),
    )  # fmt: skip
