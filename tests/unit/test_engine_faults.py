"""Trouble in one step of the engine becomes a message, and the watch goes on."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from engine_in_thread import RunningEngine, beamtime, quick_settings
from speckle_series import speckle_frames, write_speckle_series

from backend.requests import CancelJob, RunRecipe
from backend.snapshot import Snapshot, VerdictState

FRAMES = speckle_frames(130, seed=7)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    # What was refused is tried again: soon enough for a test.
    monkeypatch.setattr("backend.engine._SESSION_RETRY_S", 0.2)
    return tmp_path / "gpfs"


def _good(name: str):
    def condition(snapshot: Snapshot) -> bool:
        return (
            snapshot.series is not None
            and (snapshot.series.name, snapshot.series.status) == (name, "complete")
            and snapshot.verdict.state is VerdictState.GOOD
        )

    return condition


def _is_judged(engine: RunningEngine, raw: Path, name: str = "silica_00001") -> Snapshot:
    write_speckle_series(raw, FRAMES, name)
    return engine.until(_good(name))


def test_a_broken_recipe_is_told_and_the_others_run(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    raw = beamtime(root)
    recipes = root / "current" / "shared" / "recipes"
    recipes.mkdir()
    (recipes / "mine.toml").write_text("name = [")
    with RunningEngine(root, quick_settings(("mine",))) as engine:
        assert "mine.toml is not valid TOML" in engine.message("mine.toml").what
        _is_judged(engine, raw)
        assert engine.message("no recipe").try_this
        assert engine.ask(RunRecipe(series="silica_00001", recipe="xpcs")).ok
        (job,) = engine.until(lambda snapshot: snapshot.jobs).jobs
        assert engine.ask(CancelJob(job_id=job.job_id)).ok


def test_where_nothing_can_be_stored_all_is_still_shown(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    raw = beamtime(root)
    in_the_way = root / "current" / "processed" / "mento-gui"
    in_the_way.write_text("a file where a folder should be")
    with RunningEngine(root) as engine:
        message = engine.message("cannot be made")
        assert str(in_the_way) in message.what
        assert message.still_works and message.try_this
        _is_judged(engine, raw)
        refused = engine.ask(RunRecipe(series="silica_00001", recipe="xpcs"))
        assert (refused.ok, refused.message) == (False, "There is no beamtime folder to keep jobs in.")
        in_the_way.unlink()
        engine.until(lambda snapshot: not snapshot.messages)
        engine.until(lambda _: (in_the_way / "status.json").exists())
    with sqlite3.connect(in_the_way / "ledger.sqlite") as ledger:
        assert "silica_00001" in " ".join(ledger.iterdump())
    ledger.close()


def test_a_damaged_ledger_is_put_aside(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    raw = beamtime(root)
    state = root / "current" / "processed" / "mento-gui"
    state.mkdir(parents=True)
    (state / "ledger.sqlite").write_bytes(b"not a database at all" * 100)
    with RunningEngine(root) as engine:
        assert engine.message("ledger").try_this
        shown = _is_judged(engine, raw)
        assert [row.series for row in shown.runs] == ["silica_00001"]


def test_a_ledger_that_breaks_while_running_holds_nothing_up(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raw = beamtime(root)
    path = root / "current" / "processed" / "mento-gui" / "ledger.sqlite"
    with RunningEngine(root) as engine:
        engine.until(lambda _: path.exists() and path.with_name("status.json").exists())
        with sqlite3.connect(path, timeout=20) as ledger:
            for (table,) in ledger.execute("select name from sqlite_master where type = 'table'").fetchall():
                if not table.startswith("sqlite_"):
                    ledger.execute(f"drop table {table}")
        ledger.close()
        _is_judged(engine, raw)
        assert engine.message("ledger").still_works


def test_a_status_file_that_cannot_be_written_is_told_until_it_can(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raw = beamtime(root)
    in_the_way = root / "current" / "processed" / "mento-gui" / "status.json"
    (in_the_way / "full").mkdir(parents=True)
    with RunningEngine(root) as engine:
        engine.message("The status file cannot be written")
        _is_judged(engine, raw)
        shutil.rmtree(in_the_way)
        engine.until(lambda snapshot: not snapshot.messages)
        assert json.loads(in_the_way.read_text())["sequence"] > 0


def test_the_folder_comes_goes_and_comes_back(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    root.mkdir()
    with RunningEngine(root) as engine:
        waiting = engine.until(lambda snapshot: snapshot.backend.phase == "waiting")
        assert "Waiting for a beamtime" in waiting.verdict.why
        assert waiting.backend.beamtime_id == ""
        raw = beamtime(root)
        shown = engine.until(lambda snapshot: snapshot.backend.beamtime_id)
        assert shown.backend.watching == str(raw)
        _is_judged(engine, raw)
        away = root / "elsewhere"
        (root / "current").rename(away)
        engine.message("There is no beamtime in")
        refusal = "There is no beamtime folder to keep jobs in."
        gone = engine.until(lambda _: engine.ask(CancelJob(job_id="any")).message == refusal)
        assert gone.verdict.state is VerdictState.GOOD
        away.rename(root / "current")
        engine.until(lambda snapshot: not snapshot.messages)
        again = _is_judged(engine, raw, "silica_00002")
        assert [row.series for row in again.runs] == ["silica_00002", "silica_00001"]


def test_the_next_beamtime_under_the_same_name_has_its_own_ledger(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    beamtime(root)
    ledger = root / "current" / "processed" / "mento-gui" / "ledger.sqlite"
    with RunningEngine(root) as engine:
        engine.until(lambda _: ledger.exists())
        next_one = root / "next"
        beamtime(next_one)
        # The one is unlinked and the other appears between two looks.
        (root / "current").rename(root / "before")
        (next_one / "current").rename(root / "current")
        engine.until(lambda _: ledger.exists())
        engine.until(lambda _: engine.ask(CancelJob(job_id="any")).message == "There is no job any.")


def test_two_backends_on_one_beamtime_by_two_roads(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The same folder, given once by its parent and once itself: only one may store, both may show."""
    raw = beamtime(root)
    with RunningEngine(root) as first:
        first.until(lambda _: (root / "current" / "processed" / "mento-gui" / "backend.lock").exists())
        with RunningEngine(root / "current") as second:
            second.message("Another backend is at work here")
            _is_judged(first, raw)
            second.until(_good("silica_00001"))
        assert first.until(_good("silica_00001")).messages == ()
        with RunningEngine(root / "current") as third:
            third.message("Another backend is at work here")
            first.__exit__(None, None, None)
            third.until(lambda snapshot: not snapshot.messages)


def test_a_fault_nobody_thought_of_is_told_and_survived(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    raw = beamtime(root)

    def stumble(self: object) -> None:
        raise ZeroDivisionError("three of nothing")

    with RunningEngine(root) as engine, monkeypatch.context() as patch:
        patch.setattr("backend.beamtime_session.BeamtimeSession.keep", stumble)
        message = engine.message("A fault in the program while the beamtime folder: ZeroDivisionError")
        assert message.still_works == "The watch goes on."
        _is_judged(engine, raw)
    assert "three of nothing" in caplog.text and "Traceback" in caplog.text
