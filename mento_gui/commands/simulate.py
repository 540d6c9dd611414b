"""``mento-gui simulate``: write simulated series as real EIGER files, with the truth beside them."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from backend.simulation.beamtime_tree import SeriesProgress
    from backend.simulation.pace import StopRequest
    from backend.simulation.series_plan import SeriesPlan

# Known before the physics is loaded, so that --help stays fast; a test keeps them equal to the simulation's own.
SCENARIO_NAMES = (
    "stable",
    "aggregation",
    "early-aggregation",
    "acceleration",
    "gelation",
    "beam-loss",
    "bubble",
    "late-shutter",
    "beam-driven",
    "top-up",
    "absorber",
    "module-glitch",
    "flashing-pixel",
    "hot-pixel",
    "drift",
)
DETECTOR_NAMES = ("eiger4m", "eiger500k")
_STOPPED_BY_SIGNAL = 128 + signal.SIGTERM

_EPILOG = """
\b
Examples:
  mento-gui simulate --to /tmp/series --scenario aggregation
  mento-gui simulate --to /tmp/series --detector eiger4m --frames 200 --photons 0.01 --dtype uint16
  mento-gui simulate --to /tmp/gpfs --beamtime --scenario stable --scenario bubble --pace 1
  mento-gui simulate --to /tmp/gpfs --beamtime --scenario beam-driven --transmission 0.3 --position 0.1 0
"""


@click.command("simulate", epilog=_EPILOG)
@click.option(
    "--to", "target", required=True, type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="Folder that gets <sample>_<NNNNN>/, or with --beamtime the folder current/.",
)  # fmt: skip
@click.option(
    "--scenario", "scenarios", multiple=True, type=click.Choice(SCENARIO_NAMES),
    help="What happens in the series (default: stable). With --beamtime it may be repeated, one series each, "
    "and without it every scenario is written once.",
)  # fmt: skip
@click.option("--detector", type=click.Choice(DETECTOR_NAMES), default="eiger500k", show_default=True)
@click.option("--frames", type=int, default=600, show_default=True, metavar="N", help="Frames per series.")
@click.option(
    "--frame-time", "frame_time_s", type=float, default=0.05, show_default=True, metavar="S",
    help="Seconds from frame to frame.",
)  # fmt: skip
@click.option(
    "--photons", "photons_per_pixel", type=float, default=0.1, show_default=True, metavar="K",
    help="Mean photons per good pixel and frame at the start, without absorbers.",
)  # fmt: skip
@click.option(
    "--transmission", type=float, default=1.0, show_default=True, metavar="T",
    help="Of the absorbers; a factor on the photons, and in beam-driven on the relaxation rate.",
)  # fmt: skip
@click.option(
    "--position", "position_mm", type=float, nargs=2, default=(0.0, 0.0), show_default=True, metavar="X Z",
    help="Where the beam meets the sample, in mm: samx and samz.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Same seed, same frames.")
@click.option("--sample", default=None, metavar="NAME", help="Sample name (default: the scenario's).")
@click.option(
    "--number", type=int, default=None, metavar="N", help="Series number (default: the next free one)."
)
@click.option(
    "--frames-per-file",
    type=int,
    default=None,
    metavar="N",
    help="Frames per data file (default: about one second).",
)
@click.option("--contrast", type=float, default=0.2, show_default=True, help="Speckle contrast, g2(0) - 1.")
@click.option(
    "--diffusion", "diffusion_nm2_per_s", type=float, default=100.0, show_default=True, metavar="D0",
    help="Diffusion coefficient in nm^2/s; the relaxation rate is D0 q^2.",
)  # fmt: skip
@click.option(
    "--exponent",
    type=float,
    default=1.0,
    show_default=True,
    help="Stretching exponent of the relaxation, 0.5 to 1.",
)
@click.option(
    "--onset", type=click.FloatRange(0.0, 1.0), default=None, metavar="F",
    help="Where in the series the change begins, as a fraction (default: the scenario's, 0.5).",
)  # fmt: skip
@click.option("--dtype", type=click.Choice(("uint16", "uint32")), default="uint32", show_default=True)
@click.option(
    "--pace", type=click.FloatRange(min=0.0, min_open=True), default=None, metavar="X",
    help="1 = in real time, 10 = ten times faster (default: as fast as possible).",
)  # fmt: skip
@click.option("--beamtime", is_flag=True, help="Write a whole beamtime folder with several series.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line about what was written.")
def simulate(
    target: Path,
    scenarios: tuple[str, ...],
    beamtime: bool,
    pace: float | None,
    as_json: bool,
    number: int | None,
    **physics: Any,
) -> None:
    """Write simulated XPCS series as EIGER files, with truth.json beside them.

    Ends in good order at SIGTERM or Ctrl-C: the frames so far are published, the exit code is 143.
    """
    if len(scenarios) > 1 and not beamtime:
        raise click.UsageError("More than one --scenario needs --beamtime.")
    chosen = scenarios or (SCENARIO_NAMES if beamtime else SCENARIO_NAMES[:1])
    from backend.errors import FeedbackError

    try:
        complete = _write_all(target, chosen, beamtime, pace, _reporter(as_json), number, physics)
    except FeedbackError as error:
        raise click.ClickException(str(error)) from error
    if not complete:
        raise click.exceptions.Exit(_STOPPED_BY_SIGNAL)


def _write_all(
    target: Path,
    scenarios: tuple[str, ...],
    beamtime: bool,
    pace: float | None,
    report: Callable[[SeriesProgress], None],
    number: int | None,
    physics: dict[str, Any],
) -> bool:
    """Write one series per scenario; False when a signal ended it early."""
    from backend.simulation.beamtime_tree import next_series_number, write_beamtime_skeleton, write_series
    from backend.simulation.pace import StopRequest

    parent = target / "current" / "raw" if beamtime else target
    first_number = next_series_number(parent) if number is None else number
    plans = [
        _plan(name, number=first_number + index, seed_shift=index, **physics)
        for index, name in enumerate(scenarios)
    ]
    with StopRequest() as stop, _stopped_by_signals(stop):
        if beamtime:
            write_beamtime_skeleton(target)
        for plan in plans:
            if not write_series(parent, plan, pace=pace, stop=stop, progress=report).complete:
                return False
    return True


def _plan(
    scenario_name: str,
    *,
    detector: str,
    sample: str | None,
    onset: float | None,
    seed: int,
    seed_shift: int,
    **rest: Any,
) -> SeriesPlan:
    from dataclasses import replace

    from backend.simulation.detector_model import DETECTORS
    from backend.simulation.scenario import SCENARIOS
    from backend.simulation.series_plan import SeriesPlan

    scenario = SCENARIOS[scenario_name]
    if onset is not None and scenario.onset_fraction is not None:
        scenario = replace(scenario, onset_fraction=onset)
    return SeriesPlan(
        detector=DETECTORS[detector],
        scenario=scenario,
        sample=scenario_name.replace("-", "_") if sample is None else sample,
        seed=seed + seed_shift,
        **rest,
    )


@contextmanager
def _stopped_by_signals(stop: StopRequest) -> Iterator[None]:
    """Turn SIGTERM and Ctrl-C into the wish to stop while the block runs."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda *_: stop.request()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _reporter(as_json: bool) -> Callable[[SeriesProgress], None]:
    """How progress is told: JSON lines on standard output, or sentences."""

    def json_line(progress: SeriesProgress) -> None:
        line = {
            "event": f"series-{progress.step}" if progress.step != "file" else "file-written",
            "series": progress.series,
            "folder": str(progress.folder),
            "file": None if progress.file is None else str(progress.file),
            "frames_written": progress.frames_written,
            "frames": progress.frames,
            "complete": progress.frames_written == progress.frames,
            "elapsed_s": round(progress.elapsed_s, 3),
        }
        click.echo(json.dumps(line))

    def sentence(progress: SeriesProgress) -> None:
        if progress.step == "started":
            click.echo(f"{progress.series}: {progress.frames} frames into {progress.folder}")
        elif progress.step == "file" and progress.file is not None:
            click.echo(f"  {progress.file.name}  {progress.frames_written}/{progress.frames} frames")
        elif progress.step == "ended":
            word = "complete" if progress.frames_written == progress.frames else "stopped early"
            click.echo(f"  {word} after {progress.elapsed_s:.1f} s")

    return json_line if as_json else sentence
