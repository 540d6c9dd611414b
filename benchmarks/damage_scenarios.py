"""How often each scenario of the simulator is called damage: ``python -m benchmarks.damage_scenarios --series 100``.

The laws of each scenario are made into sums over rings told by sectors, with the beam, the rings and the photons of the
damage benchmark, and judged by the detector of the program at 1 % per series. What the simulator of detector files does
not have is added: frames that never came.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backend.damage.assessment import Assessment, DamageState
from backend.damage.damage_detector import DamageDetector
from backend.series_accumulators import DAMAGE_LAGS
from backend.settings import DamageSettings
from backend.simulation.ring_speckle import RingSpecklePlan, simulate_ring_speckle
from backend.simulation.scenario import SCENARIOS, Scenario
from benchmarks.damage_cells import CONTRAST, RINGS
from benchmarks.damage_series import EXPOSURE, FRAME_TIME_S, MODULE, SECTORS, restless_beam
from benchmarks.damage_tables import exact_bounds

FRAMES = 400
PIXELS = 700
PHOTONS_PER_PIXEL = (0.6, 0.15)
TAU_C_FRAMES = (6.0, 60.0)
LOST_FRAMES = "lost-frames"
"""Not a scenario of the simulator: a twentieth of the frames never comes, and forty in a row."""
NAMES = (*SCENARIOS, LOST_FRAMES)
_ALPHA = 0.01
_SECONDS_PER_100_H = 360_000.0
_LAGS = np.array(DAMAGE_LAGS)
# A new pattern from one frame to the next.
_AT_ONCE = 50.0
_LOST_SHARE, _LOST_IN_A_ROW = 0.05, 40


@dataclass(frozen=True, slots=True)
class Sums:
    """One series by sectors: counts and valid pixels, shape (frame, ring, sector), and products, one lag axis more."""

    counts: np.ndarray
    products: np.ndarray
    valid_pixels: np.ndarray


@dataclass(frozen=True, slots=True)
class Told:
    """What was said about one series: the frame of the first alarm and of the first "damaging", family, last state."""

    alarm_frame: int | None
    damaging_frame: int | None
    family: str
    last: str


def scenario_sums(name: str, tau_c_frames: float, seed: int) -> Sums:
    """A series of this scenario; the same seed gives the same series."""
    scenario = SCENARIOS["stable" if name == LOST_FRAMES else name]
    rng = np.random.default_rng(seed)
    plan = _plan(scenario, tau_c_frames, restless_beam(FRAMES, rng))
    sums = simulate_ring_speckle(plan, _LAGS, seed)
    counts, products = sums.sector_counts, sums.sector_products
    _add_bright_pixel(scenario, counts, products, rng)
    came = np.ones(FRAMES, bool)
    if name == LOST_FRAMES:
        came = rng.random(FRAMES) >= _LOST_SHARE
        first = int(rng.integers(FRAMES - _LOST_IN_A_ROW))
        came[first : first + _LOST_IN_A_ROW] = False
        counts[~came] = 0
        for place, lag in enumerate(_LAGS):
            products[lag:, ..., place][~(came[lag:] & came[: FRAMES - lag])] = 0
    return Sums(counts, products, plan.sector_pixels * came[:, None, None])


def _plan(scenario: Scenario, tau_c_frames: float, beam: np.ndarray) -> RingSpecklePlan:
    frames = range(FRAMES)
    shape = (FRAMES, RINGS)
    flux = beam * [scenario.flux_factor(frame, FRAMES) for frame in frames]
    structure = np.array([scenario.form_factor_change(_q_inv_nm(), frame, FRAMES) for frame in frames])
    rate = np.array([scenario.gamma_factor(frame, FRAMES) for frame in frames])
    gamma = rate[:, None] * np.geomspace(0.5, 2.0, RINGS) / tau_c_frames + scenario.renewal_per_frame(FRAMES)
    gamma[[scenario.decorrelates(frame, FRAMES) for frame in frames]] = _AT_ONCE
    module_gain = np.ones(shape)
    module_gain[[scenario.has_glitch(frame, FRAMES) for frame in frames], RINGS // 2 :] = 0
    pixels = np.full(RINGS, PIXELS)
    photons = flux[:, None] * structure * np.geomspace(*PHOTONS_PER_PIXEL, RINGS)
    contrast = np.full(shape, CONTRAST)
    return RingSpecklePlan(
        photons, gamma, contrast, pixels, pixels, SECTORS, MODULE, module_gain, EXPOSURE
    )  # fmt: skip


def _q_inv_nm() -> np.ndarray:
    """Mean q of the rings, shape (ring,): wide enough for aggregates to show at its lower end alone."""
    return 0.02 * 1.25 ** np.arange(RINGS)


def _add_bright_pixel(
    scenario: Scenario, counts: np.ndarray, products: np.ndarray, rng: np.random.Generator
) -> None:
    """One pixel more in some ring and sector that flashes as the scenario has it."""
    if scenario.flash is None:
        return
    ring, sector = int(rng.integers(RINGS)), int(rng.integers(SECTORS))
    may = [scenario.may_flash(frame, FRAMES) for frame in range(FRAMES)]
    bright = scenario.flash.photons * (may & (rng.random(FRAMES) < scenario.flash.chance))
    counts[:, ring, sector] += bright
    for place, lag in enumerate(_LAGS):
        pairs = bright * (bright - 1) if lag == 0 else bright[lag:] * bright[:-lag]
        products[lag:, ring, sector, place] += pairs


def judge(sums: Sums) -> list[Assessment]:
    """All assessments of a series by the detector of the program."""
    settings = DamageSettings(
        systematic_rms_percent=0.0,
        false_alarms_per_100_h=_ALPHA * _SECONDS_PER_100_H / (FRAMES * FRAME_TIME_S),
    )
    sector_pixels = sums.valid_pixels.max(axis=0)
    detector = DamageDetector(
        settings, _q_inv_nm(), sector_pixels, sector_pixels.sum(axis=1).astype(float), _LAGS, FRAME_TIME_S, FRAMES,
        exposure=EXPOSURE,
    )  # fmt: skip
    dose_s = FRAME_TIME_S * np.arange(1, FRAMES + 1)
    return detector.add(sums.counts, sums.products, dose_s, sums.valid_pixels)


def told(task: tuple[str, float, int]) -> Told:
    """Simulate and judge the series of (scenario, tau_c in frames, seed)."""
    said = judge(scenario_sums(*task))
    alarm = next((a for a in said if a.log10_evidence >= -np.log10(_ALPHA)), None)
    damaging = next((a.frame for a in said if a.state is DamageState.DAMAGING), None)
    named = next((a.family for a in said if a.state is DamageState.DAMAGING and a.family_told), "")
    return Told(None if alarm is None else alarm.frame, damaging, named, said[-1].state.value)


def rows(series: int, seed: int, processes: int, names: tuple[str, ...] = NAMES) -> Iterator[dict[str, Any]]:
    """One row per scenario and relaxation time."""
    with ProcessPoolExecutor(processes) as pool:
        for name in names:
            for tau_c in TAU_C_FRAMES:
                tasks = [(name, tau_c, seed + index) for index in range(series)]
                yield _row(name, tau_c, list(pool.map(told, tasks, chunksize=4)))


def _row(name: str, tau_c_frames: float, some: list[Told]) -> dict[str, Any]:
    scenario = SCENARIOS.get(name)
    onset = None if scenario is None else scenario.onset_frame(FRAMES)
    alarms = [one.alarm_frame for one in some if one.alarm_frame is not None]
    damaging = sum(one.damaging_frame is not None for one in some)
    families = {one.family for one in some} - {""}
    last = {one.last for one in some}
    return {
        "scenario": name,
        "tau_c_frames": tau_c_frames,
        "damaging": scenario is not None and scenario.damaging,
        "series": len(some),
        "alarms": len(alarms),
        "alarm_bounds": exact_bounds(len(alarms), len(some)),
        "called_damaging": damaging,
        "before_onset": 0 if onset is None else sum(frame < onset for frame in alarms),
        "families": {family: sum(one.family == family for one in some) for family in sorted(families)},
        "last_words": {word: sum(one.last == word for one in some) for word in sorted(last)},
    }


def _line(row: dict[str, Any]) -> str:
    low, high = row["alarm_bounds"]
    cells = (
        f"{row['scenario']}, tau_c {row['tau_c_frames']:g}",
        "damage" if row["damaging"] else "none",
        row["series"],
        f"{row['alarms']} ({100 * low:.3g} % to {100 * high:.3g} %)",
        row["called_damaging"],
        row["before_onset"],
        ", ".join(f"{family} {number}" for family, number in row["families"].items()) or "-",
        ", ".join(f"{word} {number}" for word, number in row["last_words"].items()),
    )
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--series", type=int, default=100, help="per scenario and tau_c (default 100)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--scenario", action="append", choices=NAMES, help="default: all")
    parser.add_argument("--json", type=Path, help="file for all numbers")
    wanted = parser.parse_args()
    print(
        "| scenario | truth | series | alarms at 1 % | called damaging | before onset | named | last word |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    found = []
    for row in rows(wanted.series, wanted.seed, wanted.processes, tuple(wanted.scenario or NAMES)):
        found.append(row)
        print(_line(row), flush=True)
    if wanted.json is not None:
        wanted.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
