"""Decode and correlate, against the full decode of the HDF5 filter, on frames of the real shape and sparsity.

Both sides take turns frame batch by frame batch, so that other load on the machine hits them alike; the ratio is what
counts. ``python benchmarks/decode_and_correlate.py --help`` shows the choices; ``--json`` prints JSON instead of the
table.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator

import h5py
import hdf5plugin
import numpy as np

from backend.correlation.intensity import MeanImage, RadialIntensity
from backend.correlation.multitau import MultiTau
from backend.correlation.two_time import TwoTime
from backend.detector.event_decoder import EventDecoder
from backend.detector.geometry import Geometry
from backend.detector.q_rings import partition_into_rings
from backend.frames import FrameBatch
from backend.photon_events import EventBatch, RingPartition
from backend.settings import RingSettings, TwoTimeSettings

DETECTORS = {"eiger4m": (2167, 2070), "eiger500k": (514, 1030)}
BATCH_FRAMES = 8


def module_gaps(shape_yx: tuple[int, int]) -> np.ndarray:
    """Good pixels: modules of 514 x 1030 with 37 rows and 10 columns between them."""
    rows, columns = (np.arange(length) for length in shape_yx)
    return ((rows % 551) < 514)[:, None] & ((columns % 1040) < 1030)[None, :]


def frames(good: np.ndarray, photons: float, number: int, dtype: type) -> Iterator[np.ndarray]:
    """Poisson frames of this mean with gaps at the type's maximum."""
    generator = np.random.default_rng(1)
    for _ in range(number):
        frame = generator.poisson(photons, good.shape).astype(dtype)
        frame[~good] = np.iinfo(dtype).max
        yield frame


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Case:
    """One detector at one occupancy: a file in memory, and the same chunks as our engine gets them."""

    def __init__(self, detector: str, photons: float, number: int, dtype: type) -> None:
        self.good = module_gaps(DETECTORS[detector])
        self.facts = {"detector": detector, "photons_per_pixel": photons, "dtype": np.dtype(dtype).name}
        self.number = number
        file = h5py.File("frames.h5", "w", driver="core", backing_store=False)
        shape = (number, *self.good.shape)
        self.data = file.create_dataset(
            "data", shape, dtype, chunks=(1, *self.good.shape), **hdf5plugin.Bitshuffle(cname="lz4")
        )
        for index, frame in enumerate(frames(self.good, photons, number, dtype)):
            self.data[index] = frame
        self.partition = self._rings()

    def _rings(self) -> RingPartition:
        shape = self.good.shape
        geometry = Geometry(shape, 75e-6, 5.0, 1.38e-10, (shape[0] / 2, shape[1] / 2))
        return partition_into_rings(geometry, self.good, RingSettings(), np.ones(shape))

    def batch(self, first: int) -> FrameBatch:
        numbers = np.arange(first, min(first + BATCH_FRAMES, self.number))
        chunks = tuple(bytes(self.data.id.read_direct_chunk((int(n), 0, 0))[1]) for n in numbers)
        return FrameBatch("benchmark", numbers, chunks, "bslz4", self.data.dtype, self.good.shape)

    def measure(self, threads: int) -> dict[str, object]:
        """Median milliseconds per frame of each step, and frames per second of all of ours together."""
        two_time_settings = TwoTimeSettings()
        multitau = MultiTau(self.partition)
        two_time = TwoTime(self.partition, two_time_settings.max_bins, two_time_settings.pixels_per_ring)
        radial, image = RadialIntensity(self.partition, 50), MeanImage(self.good.size)
        steps = {
            "multitau": lambda pixel, count, number: multitau.add(pixel, count),
            "two_time": lambda pixel, count, number: two_time.add(pixel, count),
            "intensity": lambda pixel, count, number: radial.add(number, pixel, count),
            "image": lambda pixel, count, number: image.add(pixel, count),
        }
        times: dict[str, list[float]] = {name: [] for name in ("filter", "decode", *steps, "map")}
        with EventDecoder(self.good, self.data.dtype, threads=threads) as decoder:
            for first in range(0, self.number, BATCH_FRAMES):
                self._take_turns(decoder, steps, times, first)
                times["map"].append(seconds(lambda: two_time.result(self.partition.rings // 2)))
        return self.facts | _summary(times)

    def _take_turns(
        self,
        decoder: EventDecoder,
        steps: dict[str, Callable[[np.ndarray, np.ndarray, int], object]],
        times: dict[str, list[float]],
        first: int,
    ) -> None:
        batch = self.batch(first)
        size = len(batch.chunks)
        times["filter"].append(seconds(lambda: [self.data[first + i] for i in range(size)]) / size)
        decoded: list[EventBatch] = []
        times["decode"].append(seconds(lambda: decoded.append(decoder.decode(batch))) / size)
        events = decoded[0]
        for name, add in steps.items():

            def work(add: Callable[[np.ndarray, np.ndarray, int], object] = add) -> None:
                for index in range(size):
                    add(*events.frame(index), first + index)

            times[name].append(seconds(work) / size)


def _summary(times: dict[str, list[float]]) -> dict[str, object]:
    # The first round compiles.
    median = {name: 1000 * statistics.median(values[1:]) for name, values in times.items()}
    # Asked for a few times a second, whatever the frame rate: not part of the cost of a frame.
    map_ms = median.pop("map")
    ours = sum(value for name, value in median.items() if name != "filter")
    ratio = statistics.median(
        theirs / own for theirs, own in zip(times["filter"][1:], times["decode"][1:], strict=True)
    )
    return {
        "milliseconds_per_frame": {name: round(value, 3) for name, value in median.items()},
        "two_time_map_milliseconds": round(map_ms, 3),
        "filter_over_decode": round(ratio, 2),
        "frames_per_second": round(1000 / ours, 1),
    }


def print_table(results: list[dict[str, object]]) -> None:
    head = ("detector", "dtype", "photons/px")
    first = results[0]["milliseconds_per_frame"]
    assert isinstance(first, dict)
    columns = [*head, *(f"{name} ms" for name in first), "map ms", "filter/decode", "frames/s"]
    print("  ".join(f"{name:>13}" for name in columns))
    for result in results:
        milliseconds = result["milliseconds_per_frame"]
        assert isinstance(milliseconds, dict)
        values = [result["detector"], result["dtype"], result["photons_per_pixel"], *milliseconds.values()]
        values += [result[name] for name in ("two_time_map_milliseconds", "filter_over_decode")]
        print("  ".join(f"{value!s:>13}" for value in [*values, result["frames_per_second"]]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--detector", nargs="+", choices=DETECTORS, default=list(DETECTORS))
    parser.add_argument("--photons", nargs="+", type=float, default=[0.01, 0.1], help="per pixel and frame")
    parser.add_argument("--frames", type=int, default=40, help="at least 16; the first 8 only warm up")
    parser.add_argument("--dtype", choices=["uint16", "uint32"], default="uint16")
    parser.add_argument("--threads", type=int, default=1, help="of our decoder; the filter has one")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.frames < 2 * BATCH_FRAMES:
        parser.error(f"--frames must be at least {2 * BATCH_FRAMES}")
    results = [
        Case(detector, photons, options.frames, np.dtype(options.dtype).type).measure(options.threads)
        for detector in options.detector
        for photons in options.photons
    ]
    if options.json:
        print(json.dumps(results, indent=2))
    else:
        print_table(results)


if __name__ == "__main__":
    main()
