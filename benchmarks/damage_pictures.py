"""Pictures of the verdict for the documentation: ``python -m benchmarks.damage_pictures docs/images/damage``.

Every scenario of the simulator is written as detector files, replayed by the program, and shown by the views of its
window: a damaged series soon after its alarm, any other at its end. One more picture compares the evidence of undamaged
series with the bound that holds for it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from backend.acquisition.recorded_series import RecordedSeries
from backend.batch_pieces import pieces_within
from backend.frames import FrameBatch, SeriesEnded, SeriesStarted
from backend.series_run import SeriesRun
from backend.settings import Settings
from backend.settings_in_use import SettingsInUse
from backend.simulation.beamtime_tree import write_series
from backend.simulation.scenario import SCENARIOS
from backend.simulation.series_plan import SeriesPlan
from backend.snapshot import Snapshot, VerdictState
from backend.snapshot_composer import SnapshotComposer
from benchmarks.damage_cells import NULLS
from benchmarks.damage_outcomes import Watch, judge
from benchmarks.damage_series import simulate

# Seen by a person who looks up a moment after the alarm.
_FRAMES_AFTER_ALARM = 50


def measured(plan: SeriesPlan) -> Snapshot:
    """The snapshot of a series some frames after its first DAMAGING, or at its end if there is none."""
    with tempfile.TemporaryDirectory(prefix="damage-pictures-") as folder:
        written = write_series(Path(folder), plan)
        settings = Settings()
        composer = SnapshotComposer(Path(folder), SettingsInUse(settings, None))
        run = None
        for run in _progress(written.master, settings):
            if run.verdict.state is VerdictState.DAMAGING and _alarm_is_past(run):
                break
        assert run is not None
        composer.new_series(run.info, time.time())
        snapshot = composer.compose(run, phase="measuring")
        if run.status == "running":
            run.break_off()
        return snapshot


def _progress(master: Path, settings: Settings) -> Iterator[SeriesRun]:
    """The series after every window."""
    source = RecordedSeries([master], settings)
    run: SeriesRun | None = None
    while not source.finished:
        for event in source.poll():
            if isinstance(event, SeriesStarted):
                run = SeriesRun(event.info, settings)
            elif run is not None and isinstance(event, FrameBatch):
                for piece in pieces_within(event, settings.damage.window_frames):
                    run.add(piece)
                    yield run
            elif run is not None and isinstance(event, SeriesEnded):
                run.end(event)
                yield run


def _alarm_is_past(run: SeriesRun) -> bool:
    rings = run.analysis.rings
    assert rings is not None
    alarm = next(a.frame for a in rings.damage.assessments if a.state == "damaging")
    return run.verdict.frame >= alarm + _FRAMES_AFTER_ALARM


def peaks_of_nulls(series: int, seed: int) -> dict[str, np.ndarray]:
    """Largest log10 evidence of each undamaged series, by kind of series, for the detector as in the benchmark."""
    watch = Watch()
    peaks: dict[str, list[float]] = {cell.name: [] for cell in NULLS}
    for index in range(series):
        cell = NULLS[index % len(NULLS)]
        said = judge(simulate(cell.plan(seed + index), np.array(watch.lags), seed + index), watch, cell)
        peaks[cell.name].append(max(a.log10_evidence for a in said))
    return {name: np.array(values) for name, values in peaks.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder that gets the pictures")
    parser.add_argument("--scenario", action="append", choices=tuple(SCENARIOS), help="default: all")
    parser.add_argument("--frames", type=int, default=600, help="per series (default 600)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same series (default 1)")
    parser.add_argument("--nulls", type=int, default=400, help="undamaged series for the bound (default 400)")
    wanted = parser.parse_args()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    os.environ["QT_API"] = os.environ["PYQTGRAPH_QT_LIB"] = "PyQt5"
    from benchmarks.damage_canvas import Canvas
    from mento_gui.application import make_application

    wanted.folder.mkdir(parents=True, exist_ok=True)
    canvas = Canvas(make_application())
    for name in wanted.scenario or SCENARIOS:
        scenario = SCENARIOS[name]
        plan = SeriesPlan(
            scenario=scenario, sample=name.replace("-", "_"), frames=wanted.frames, seed=wanted.seed
        )
        snapshot = measured(plan)
        canvas.save_verdict(
            wanted.folder / f"{name}.png", snapshot, scenario.description, scenario.onset_frame(wanted.frames)
        )
        print(f"{name}: {snapshot.verdict.state} at frame {snapshot.verdict.frame}. {snapshot.verdict.why}")
    if wanted.nulls:
        canvas.save_bound(wanted.folder / "bound.png", peaks_of_nulls(wanted.nulls, wanted.seed))


if __name__ == "__main__":
    main()
