"""The engine on real files over the real wire: from the first file to the job, requests, heartbeat, end."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from engine_in_thread import RunningEngine, beamtime, quick_settings
from speckle_series import speckle_frames, write_speckle_series

from backend.engine import Engine
from backend.lease import LeaseError
from backend.ledger import Ledger
from backend.requests import (
    AcknowledgeMessage,
    CancelJob,
    GetStatus,
    Ping,
    RunRecipe,
    SelectRing,
    Shutdown,
    TakeSettings,
)
from backend.settings import DamageSettings, load_settings, settings_to_toml
from backend.snapshot import RunRow, Snapshot, VerdictState

FRAMES = speckle_frames(150, seed=6)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    return tmp_path / "gpfs"


@pytest.fixture
def engine(root: Path) -> Iterator[RunningEngine]:
    beamtime(root)
    with RunningEngine(root) as engine:
        yield engine


def _ended(name: str):
    def condition(snapshot: Snapshot) -> bool:
        return (
            snapshot.series is not None
            and snapshot.series.name == name
            and snapshot.series.status != "running"
        )

    return condition


def test_a_series_from_its_first_file_to_its_end(engine: RunningEngine) -> None:
    raw = engine.root / "current" / "raw"
    idle = engine.until(lambda snapshot: snapshot.backend.phase == "waiting")
    assert (idle.verdict.state, idle.series) == (VerdictState.IDLE, None)
    assert str(raw) in idle.verdict.why
    assert set(idle.missing) == {"image", "g2", "intensity", "trend", "two_time"}
    master = write_speckle_series(raw, FRAMES)
    shown = engine.until(lambda snapshot: _ended("silica_00001")(snapshot) and snapshot.trend is not None)
    assert shown.series is not None and shown.image is not None and shown.g2 is not None
    assert (shown.series.status, shown.series.frames, shown.series.expected_frames) == ("complete", 150, 150)
    assert shown.verdict.state is VerdictState.GOOD
    assert shown.missing == {}
    assert shown.image.frames == shown.g2.frames == 150
    assert [(row.series, row.status, row.verdict) for row in shown.runs] == [
        ("silica_00001", "complete", VerdictState.GOOD)
    ]
    assert not shown.messages
    assert engine.sequences == sorted(set(engine.sequences))
    assert master.exists()


def test_the_series_and_its_verdict_are_in_ledger_and_status_file(engine: RunningEngine) -> None:
    current = engine.root / "current"
    write_speckle_series(current / "raw", FRAMES)
    engine.until(_ended("silica_00001"))
    sequence = engine.until(lambda snapshot: True).sequence
    state = current / "processed" / "mento-gui"

    def written(_: Snapshot) -> bool:
        path = state / "status.json"
        return path.exists() and json.loads(path.read_text())["sequence"] > sequence

    engine.until(written)
    status = json.loads((state / "status.json").read_text())
    assert (status["series"]["name"], status["verdict"]["state"]) == ("silica_00001", "GOOD")
    with sqlite3.connect(f"file:{state / 'ledger.sqlite'}?mode=ro", uri=True) as ledger:
        tables = {name for (name,) in ledger.execute("select name from sqlite_master where type = 'table'")}
        text = " ".join(str(row) for table in tables for row in ledger.execute(f"select * from {table}"))
    ledger.close()
    assert "silica_00001" in text and "GOOD" in text


def test_a_series_that_a_killed_backend_left_is_not_shown_as_running(root: Path) -> None:
    state = beamtime(root).parent / "processed" / "mento-gui"
    state.mkdir(parents=True)
    ledger = Ledger(state / "ledger.sqlite")
    ledger.record_series(
        RunRow(
            series="lost_00007", sample="lost", detector="e500", started_at=1.0, frames=12, expected_frames=600,
            status="running", verdict=VerdictState.GOOD, why="Steady.",
        )
    )  # fmt: skip
    ledger.close()
    with RunningEngine(root) as engine:
        snapshot = engine.until(lambda snapshot: bool(snapshot.runs))
    assert [(row.series, row.status) for row in snapshot.runs] == [("lost_00007", "incomplete")]


def test_the_selected_ring_is_shown(engine: RunningEngine) -> None:
    write_speckle_series(engine.root / "current" / "raw", FRAMES)
    first = engine.until(lambda snapshot: _ended("silica_00001")(snapshot) and snapshot.two_time is not None)
    # The innermost ring is often too slow to say much: without a wish the middle one is shown.
    assert first.two_time is not None and first.g2 is not None
    assert first.two_time.ring == len(first.g2.q_inv_nm) // 2 == first.selected_ring
    for wanted, shown in ((2, 2), (1000, len(first.g2.q_inv_nm) - 1), (-5, 0)):  # type: ignore[union-attr]
        assert engine.ask(SelectRing(ring=wanted)).ok
        snapshot = engine.until(
            lambda snapshot, shown=shown: snapshot.two_time is not None and snapshot.two_time.ring == shown
        )
        assert snapshot.two_time is not None
        assert np.isfinite(snapshot.two_time.values).any()


def test_the_recipe_runs_at_the_end_and_its_result_agrees(root: Path, tmp_path: Path) -> None:
    raw = beamtime(root)
    settings, settings_file = quick_settings(("xpcs",)), tmp_path / "p10.toml"
    settings_file.write_text(settings_to_toml(settings))
    with RunningEngine(root, settings, settings_file) as engine:
        write_speckle_series(raw, FRAMES)
        done = engine.until(lambda snapshot: snapshot.confirmed_g2 is not None, timeout_s=60.0)
        (job,) = done.jobs
        assert (job.state, job.series, job.recipe) == ("done", "silica_00001", "xpcs")
        assert Path(job.result_path).is_relative_to(root / "current" / "processed")
        confirmed, live = done.confirmed_g2, done.g2
        assert confirmed is not None and live is not None
        assert confirmed.g2.tobytes() == live.g2.tobytes()
        assert np.nanmax(np.abs(confirmed.z_score)) == 0
        assert confirmed.agreement and not done.messages


def test_a_recipe_can_be_run_again_and_refusals_are_said(engine: RunningEngine) -> None:
    write_speckle_series(engine.root / "current" / "raw", FRAMES[:40])
    engine.until(_ended("silica_00001"))
    unknown = engine.ask(RunRecipe(series="gold_00001", recipe="xpcs"))
    assert (unknown.ok, "gold_00001" in unknown.message) == (False, True)
    no_recipe = engine.ask(RunRecipe(series="silica_00001", recipe="magic"))
    assert (no_recipe.ok, "magic" in no_recipe.message) == (False, True)
    no_job = engine.ask(CancelJob(job_id="nothing"))
    assert (no_job.ok, bool(no_job.message)) == (False, True)
    assert engine.ask(RunRecipe(series="silica_00001", recipe="xpcs")).ok
    (job,) = engine.until(lambda snapshot: snapshot.jobs).jobs
    assert engine.ask(CancelJob(job_id=job.job_id)).ok
    engine.until(lambda snapshot: snapshot.jobs[0].state == "cancelled")


def test_status_and_ping_are_answered(engine: RunningEngine) -> None:
    assert engine.ask(Ping()).ok
    engine.until(lambda snapshot: True)
    status = json.loads(engine.ask(GetStatus()).payload)
    assert status["backend"]["root"] == str(engine.root)


def test_a_message_is_acknowledged(engine: RunningEngine, caplog: pytest.LogCaptureFixture) -> None:
    assert not engine.ask(AcknowledgeMessage(key="nothing")).ok
    folder = engine.root / "current" / "raw" / "gold_00002" / "e4m"
    folder.mkdir(parents=True)
    (folder / "gold_00002_master.h5").write_bytes(b"no HDF5")
    (folder / "gold_00002_data_000001.h5").write_bytes(b"no HDF5")
    shown = engine.until(lambda snapshot: snapshot.messages).messages[0]
    assert not shown.acknowledged
    assert engine.ask(AcknowledgeMessage(key=shown.key)).ok
    engine.until(lambda snapshot: any(m.key == shown.key and m.acknowledged for m in snapshot.messages))


def test_the_newest_series_takes_the_place_of_the_older(engine: RunningEngine) -> None:
    raw = engine.root / "current" / "raw"
    write_speckle_series(raw, FRAMES[:60], "gel_00001")
    engine.until(_ended("gel_00001"))
    write_speckle_series(raw, FRAMES[60:100], "gel_00002")
    shown = engine.until(_ended("gel_00002"))
    assert shown.series is not None and shown.series.frames == 40
    assert [row.series for row in shown.runs] == ["gel_00002", "gel_00001"]
    assert [row.frames for row in shown.runs] == [40, 60]


def test_the_run_table_is_still_there_after_a_restart(root: Path) -> None:
    raw = beamtime(root)
    with RunningEngine(root) as engine:
        write_speckle_series(raw, FRAMES[:60], "gel_00001")
        engine.until(_ended("gel_00001"))
        write_speckle_series(raw, FRAMES[:60], "gel_00002")
        engine.until(_ended("gel_00002"))
    with RunningEngine(root) as engine:
        shown = engine.until(_ended("gel_00002"))
        assert [row.series for row in shown.runs] == ["gel_00002", "gel_00001"]


def test_the_heart_beats_every_second_from_the_start(root: Path) -> None:
    """Preparing the kernels happens in the first of these seconds."""
    beamtime(root)
    with RunningEngine(root) as engine:
        heard_at = time.monotonic()
        for _ in range(6):
            sequence = engine.newest.sequence if engine.newest else 0
            engine.until(lambda snapshot, last=sequence: snapshot.sequence > last)
            now = time.monotonic()
            assert now - heard_at < 1.0
            heard_at = now


def test_a_second_backend_for_the_same_root_is_refused(engine: RunningEngine) -> None:
    with pytest.raises(LeaseError, match="Another backend is at work here"):
        Engine(engine.root, quick_settings())
    assert engine.ask(Ping()).ok


def test_shutdown_leaves_nothing_behind(engine: RunningEngine) -> None:
    endpoint = engine.client.endpoint
    assert endpoint.exists
    assert engine.ask(Shutdown()).ok
    engine.join()
    assert not endpoint.exists
    with RunningEngine(engine.root) as again:
        assert again.ask(Ping()).ok


def test_new_settings_hold_from_the_next_series_on_and_are_remembered(
    engine: RunningEngine, tmp_path: Path
) -> None:
    raw = engine.root / "current" / "raw"
    write_speckle_series(raw, FRAMES)
    first = engine.until(_ended("silica_00001"))
    assert (first.backend.settings_sha256, first.backend.settings_file) == (quick_settings().sha256, "")
    file = tmp_path / "p10.toml"
    changed = quick_settings().model_copy(update={"damage": DamageSettings(window_frames=15)})
    file.write_text(settings_to_toml(changed).replace("newest_poll_s = 0.05", "newest_poll_s = 0.1"))
    reply = engine.ask(TakeSettings(file=str(file), author="anna"))
    words = (
        "From the next series on: damage.window_frames 5 -> 15. "
        "When the backend is started again: watch.newest_poll_s 0.05 -> 0.1."
    )
    assert (reply.ok, reply.message) == (True, words)
    told = engine.until(lambda snapshot: snapshot.messages)
    assert told.messages[0].what == f"anna has changed the settings. {words}"
    # What was judged with the settings before keeps their hash.
    assert (told.backend.settings_sha256, told.backend.settings_file) == (quick_settings().sha256, str(file))
    write_speckle_series(raw, FRAMES, "silica_00002")
    second = engine.until(_ended("silica_00002"))
    assert second.backend.settings_sha256 == changed.sha256
    engine.ask(Shutdown())
    engine.join()
    ledger = Ledger(engine.root / "current" / "processed" / "mento-gui" / "ledger.sqlite")
    (change,) = ledger.settings_changes(5)
    assert (change.author, change.what) == ("anna", f"{file}: {words}")
    hashes = [ledger.verdicts(name)[-1].settings_sha256 for name in ("silica_00001", "silica_00002")]
    assert hashes == [quick_settings().sha256, changed.sha256]
    ledger.close()
    # Both are kept: either series can be judged again as it was.
    kept = engine.root / "current" / "processed" / "mento-gui" / "settings"
    assert [load_settings(kept / f"{sha256}.toml").sha256 for sha256 in hashes] == hashes


def test_settings_that_cannot_be_kept_are_told_and_hold_up_nothing(
    engine: RunningEngine, caplog: pytest.LogCaptureFixture
) -> None:
    state = engine.root / "current" / "processed" / "mento-gui"
    engine.until(lambda snapshot: snapshot.backend.phase == "waiting")
    (state / "settings").write_text("not a folder")
    write_speckle_series(engine.root / "current" / "raw", FRAMES)
    engine.until(_ended("silica_00001"))
    assert "cannot be kept in" in engine.message("The settings of this series").what
    assert "File exists" in caplog.text


def test_a_settings_file_that_cannot_be_used_changes_nothing(engine: RunningEngine, tmp_path: Path) -> None:
    file = tmp_path / "p10.toml"
    file.write_text("[damage]\nwindow_frames = 0\n")
    reply = engine.ask(TakeSettings(file=str(file), author="anna"))
    assert not reply.ok
    assert "damage.window_frames: Input should be greater than or equal to 1" in reply.message
    snapshot = engine.until(lambda snapshot: snapshot.backend.phase == "waiting")
    assert (snapshot.backend.settings_file, snapshot.messages) == ("", ())
