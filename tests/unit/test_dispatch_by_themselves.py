"""Recipes that run by themselves: chosen by a person, dropped as a file, again and again while a series runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from engine_in_thread import RunningEngine, beamtime, quick_settings
from speckle_series import speckle_frames, write_speckle_series

import backend.dispatch
from backend.dispatch.dispatcher import Dispatcher
from backend.dispatch.local_executor import LocalExecutor
from backend.dispatch.recipe import Recipe
from backend.errors import BackendUnreachableError, DispatchError
from backend.frames import DetectorInfo, SeriesInfo
from backend.ledger import Ledger
from backend.requests import ChooseRecipe, SubmitCommand
from backend.settings import DispatchSettings
from backend.snapshot import Snapshot
from mento_gui.command_line import main
from mento_gui.commands.submit import seconds_of

FRAMES = speckle_frames(130, seed=7)
COUNT = """
name = "count"
title = "Frame count"
description = "Writes how many frames there are."
script = "printf 'frames\\\\n%s\\\\n' {frames} > count.csv"
[[outputs]]
file = "count.csv"
kind = "csv"
y = ["frames"]
finite = true
"""


def recipe(**changes: object) -> Recipe:
    document = {
        "name": "live", "title": "t", "description": "d", "script": "echo {frames} > n.txt",
        "when": {"every_frames": 100}, "outputs": [{"file": "n.txt", "kind": "text"}], "text_sha256": "7" * 64,
    }  # fmt: skip
    return Recipe.model_validate(document | changes)


def series(folder: Path) -> SeriesInfo:
    detector = DetectorInfo("e4m", (514, 1030), np.dtype(np.uint16))
    return SeriesInfo("silica_00001", "silica", 1, folder / "raw", detector, None, 1000)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Dispatcher]]:
    lives: list[tuple[Dispatcher, Ledger]] = []

    def begin(*recipes: Recipe, usual: tuple[str, ...] = ("live",)) -> Dispatcher:
        ledger = Ledger(tmp_path / "ledger.sqlite")
        dispatcher = Dispatcher(
            ledger,
            {entry.name: entry for entry in recipes},
            [LocalExecutor(1)],
            DispatchSettings(recipes_at_series_end=usual),
            results_of=lambda _: tmp_path / "processed",
            beamtime=tmp_path,
        )
        lives.append((dispatcher, ledger))
        return dispatcher

    yield begin
    for dispatcher, ledger in lives:
        dispatcher.close()
        ledger.close()


def poll_until(dispatcher: Dispatcher, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60.0
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, dispatcher.job_rows()
        dispatcher.poll(time.time())
        pause.wait(0.01)


def test_every_so_many_frames_and_at_the_end(start: Callable[..., Dispatcher], tmp_path: Path) -> None:
    dispatcher = start(recipe())
    info = series(tmp_path)
    for frames in (99, 100, 150, 199):
        assert dispatcher.frames_arrived(info, frames) == ()
    poll_until(dispatcher, lambda: [row.state for row in dispatcher.job_rows()] == ["done"])
    # A burst of frames is one run on the newest; one that still waits gives way to a newer one.
    dispatcher.frames_arrived(info, 350)
    dispatcher.frames_arrived(info, 420)
    assert [row.state for row in dispatcher.job_rows()] == ["queued", "cancelled", "done"]
    assert "400 frames" in dispatcher.job_rows()[1].reason
    ended = dispatcher.series_ended(info, 437)
    assert len(ended.rows) == 1 and ended.problems == ()
    poll_until(dispatcher, lambda: dispatcher.job_rows()[0].state == "done")
    (output,) = dispatcher.job_rows()[0].outputs
    assert Path(output.path).read_text() == "437\n"
    assert [row.state for row in dispatcher.job_rows()] == ["done", "cancelled", "cancelled", "done"]


def test_a_backend_that_reads_the_series_again_repeats_nothing(
    start: Callable[..., Dispatcher], tmp_path: Path
) -> None:
    first = start(recipe())
    first.frames_arrived(series(tmp_path), 250)
    poll_until(first, lambda: first.job_rows()[0].state == "done")
    second = start(recipe())
    for frames in (100, 200, 299):
        second.frames_arrived(series(tmp_path), frames)
    assert [row.state for row in second.job_rows() if row.state != "done"] == ["queued"]
    assert len(second.job_rows()) == 2
    second.frames_arrived(series(tmp_path), 300)
    assert len(second.job_rows()) == 3


def test_what_a_person_chose_is_remembered(start: Callable[..., Dispatcher], tmp_path: Path) -> None:
    ended = recipe(name="ended", when="series-ended", text_sha256="8" * 64)
    first = start(ended, recipe(), usual=("live",))
    assert [(row.name, row.runs) for row in first.recipes.rows()] == [("ended", False), ("live", True)]
    first.recipes.choose("ended", True, 1.0)
    first.recipes.choose("live", False, 2.0)
    second = start(ended, recipe(), usual=("live",))
    assert [(row.name, row.runs) for row in second.recipes.rows()] == [("ended", True), ("live", False)]
    assert second.frames_arrived(series(tmp_path), 100) == ()
    assert [row.recipe for row in second.series_ended(series(tmp_path), 100).rows] == ["ended"]
    with pytest.raises(DispatchError, match="no recipe other"):
        second.recipes.choose("other", True, 3.0)
    # A chosen recipe whose file was taken away is no fault at each series end; one of the settings is.
    second.recipes.replace({})
    assert second.series_ended(series(tmp_path), 100).problems == ()


def wish(**changes: object) -> SubmitCommand:
    given: dict[str, object] = {
        "token": "t",
        "name": "my Analysis.sh",
        "command": ("/bin/sh", "-c", "echo hi > a.txt"),
    }
    return SubmitCommand(**(given | changes))  # type: ignore[arg-type]


def test_a_command_without_any_series(start: Callable[..., Dispatcher], tmp_path: Path) -> None:
    dispatcher = start()
    key = dispatcher.submit(wish(outputs=("*.txt",)), None, 0)
    assert key.startswith("my-analysis-sh-command-")
    assert dispatcher.submit(wish(command=("/bin/false",)), None, 0) == key
    poll_until(dispatcher, lambda: dispatcher.job_rows()[0].state == "done")
    (row,) = dispatcher.job_rows()
    (output,) = row.outputs
    assert output.path == str(tmp_path / f"processed/onlineanalysis/my-analysis-sh/{key}_a.txt")
    silent = dispatcher.submit(wish(token="u", command=("/bin/true",)), None, 0)
    poll_until(dispatcher, lambda: dispatcher.job_rows()[0].state == "done")
    assert (dispatcher.job_rows()[0].job_id, dispatcher.job_rows()[0].result_path) == (silent, "")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"command": ("cat", "{master}")}, "needs {master}"),
        ({"command": ("cat", "{mastr}")}, "{mastr}"),
        ({"outputs": ("/etc/*",)}, "must lie in {output}"),
        ({"time_limit_s": -1.0}, "time_limit_s"),
        ({"executor": "slurm"}, "not set up here"),
    ],
)
def test_a_command_that_cannot_be_run_is_refused(
    start: Callable[..., Dispatcher], changes: dict[str, object], words: str
) -> None:
    with pytest.raises(DispatchError) as refused:
        start().submit(wish(**changes), None, 0)
    assert words in refused.value.what


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 1800),
        ("5:30", 330),
        ("1:00:05", 3605),
        ("1-2", 93600),
        ("2-01:30", 178200),
        ("1-00:00:01", 86401),
    ],
)
def test_time_limits_as_slurm_reads_them(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setattr("backend.dispatch.recipe_watch._LOOK_S", 0.05)
    return tmp_path / "gpfs"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def job_is(state: str) -> Callable[[Snapshot], bool]:
    return lambda snapshot: bool(snapshot.jobs) and snapshot.jobs[0].state == state


def test_a_recipe_that_is_dropped_corrected_and_switched_on(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raw = beamtime(root)
    file = raw.parent / "shared" / "recipes" / "count.toml"
    file.parent.mkdir()
    with RunningEngine(root, quick_settings()) as engine:
        engine.until(lambda snapshot: snapshot.recipes)
        file.write_text(COUNT.replace('"csv"', '"cvs"'))
        assert "count.toml" in engine.message("outputs.kind").what
        file.write_text(COUNT)
        engine.until(lambda snapshot: not snapshot.messages)
        (row,) = [row for row in engine.until(lambda now: now).recipes if row.name == "count"]
        assert not row.runs
        switched = run("recipe", "on", "count", "--root", root)
        assert switched.exit_code == 0, switched.output
        engine.until(lambda now: any(row.runs and row.name == "count" for row in now.recipes))
        assert "count" in run("recipe", "list", "--root", root).output
        write_speckle_series(raw, FRAMES, "silica_00001")
        (job,) = engine.until(job_is("done"), 60.0).jobs
        (output,) = job.outputs
        assert Path(output.path).read_text() == "frames\n130\n" and output.y == ("frames",)
        assert engine.ask(ChooseRecipe(recipe="nothing", runs=True)).message


def test_a_command_from_a_macro_and_from_the_command_line(root: Path) -> None:
    raw = beamtime(root)
    with RunningEngine(root, quick_settings()) as engine:
        write_speckle_series(raw, FRAMES, "silica_00001")
        engine.until(lambda now: now.series is not None and now.series.status == "complete")
        key = backend.dispatch.submit(
            ["/bin/cp", "{master}", "copy of master.h5"],
            root=root,
            executor="local",
            outputs=["*.h5"],
            token="a",
        )
        assert key == backend.dispatch.submit(
            ["/bin/false"], name="cp", root=root, executor="local", token="a"
        )
        (job,) = engine.until(job_is("done"), 60.0).jobs
        assert (job.job_id, job.series) == (key, "silica_00001")
        assert job.outputs[0].path.endswith("copy of master.h5")
        told = run(
            "submit", "--root", root, "--on", "local", "--job-name", "Ende", "--", "/bin/sh", "-c", "exit 3"
        )
        assert told.exit_code == 0, told.output
        (failed, _) = engine.until(job_is("failed"), 60.0).jobs
        assert failed.job_id == told.output.strip() and "exit code 3" in failed.reason
        with pytest.raises(DispatchError, match="not set up here"):
            backend.dispatch.submit(["/bin/true"], root=root, executor="slurm")
        with pytest.raises(DispatchError, match="has not read gold_1"):
            backend.dispatch.submit(["/bin/true"], root=root, executor="local", series="gold_1")


def test_no_backend_is_said(root: Path) -> None:
    with pytest.raises(BackendUnreachableError, match="No backend runs"):
        backend.dispatch.submit(["/bin/true"], root=root)
    with pytest.raises(DispatchError, match="no command"):
        backend.dispatch.submit([], root=root)
    told = run("submit", "--root", root, "--", "/bin/true")
    assert told.exit_code == 1 and "No backend runs" in told.output
