"""A stored series replayed gives the very verdicts that were stored while it was measured, bit for bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from engine_in_thread import RunningEngine, beamtime, quick_settings
from speckle_series import speckle_frames, write_speckle_series

from backend.ledger import Ledger
from backend.ledger_rows import VerdictChange
from backend.snapshot import Verdict, VerdictState
from mento_gui.command_line import main

SERIES = "silica_00001"
# The first engine of a fresh installation compiles its kernels.
KERNELS_S = 90.0


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[VerdictChange, ...]]:
    """Raw folder of a series whose speckle becomes four times faster, and what the ledger holds about it."""
    root = tmp_path_factory.mktemp("gpfs")
    with pytest.MonkeyPatch.context() as patch:
        runtime = tmp_path_factory.mktemp("run")
        runtime.chmod(0o700)
        patch.setenv("XDG_RUNTIME_DIR", str(runtime))
        raw = beamtime(root)
        with RunningEngine(root) as engine:
            engine.until(lambda snapshot: snapshot.backend.phase == "waiting", KERNELS_S)
            write_speckle_series(raw, _faster_in_the_middle(), per_file=30)
            engine.until(lambda snapshot: any(row.status == "complete" for row in snapshot.runs))
    ledger = Ledger(root / "current" / "processed" / "mento-gui" / "ledger.sqlite")
    changes = ledger.verdicts(SERIES)
    ledger.close()
    return raw, changes


def _faster_in_the_middle() -> np.ndarray:
    slow = speckle_frames(200, tau_frames=12.0, seed=3)
    return np.concatenate([slow, speckle_frames(120, tau_frames=2.0, seed=4)])


def _replayed(raw: Path) -> list[dict[str, Any]]:
    """With the settings that the backend has kept."""
    kept = raw.parent / "processed" / "mento-gui" / "settings"
    assert [file.name for file in kept.iterdir()] == [f"{quick_settings().sha256}.toml"]
    settings_file = kept / f"{quick_settings().sha256}.toml"
    result = CliRunner().invoke(main, ["replay", str(raw), "--json", "--settings", str(settings_file)])
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_replay_says_what_the_ledger_holds(measured: tuple[Path, tuple[VerdictChange, ...]]) -> None:
    raw, changes = measured
    assert [change.verdict.state for change in changes][-1] is VerdictState.DAMAGING
    said = [line for line in _replayed(raw) if line["event"] == "verdict"]
    assert [line["settings_sha256"] for line in said] == [change.settings_sha256 for change in changes]
    again = [msgspec.convert(line, Verdict) for line in said]
    assert [msgspec.msgpack.encode(verdict) for verdict in again] == [
        msgspec.msgpack.encode(change.verdict) for change in changes
    ]


def test_what_an_alarm_rests_on_is_stored_with_it(measured: tuple[Path, tuple[VerdictChange, ...]]) -> None:
    raw, changes = measured
    alarm = next(change.verdict for change in changes if change.verdict.state is VerdictState.DAMAGING)
    assert alarm.grounds[0].family == alarm.family == "dynamics"
    assert max(ground.log10_evidence for ground in alarm.grounds) == alarm.log10_evidence
    assert alarm.frame - 30 <= alarm.grounds[0].frames[1] <= alarm.frame
    (summary,) = (line for line in _replayed(raw) if line["event"] == "summary")
    assert summary["grounds"][0]["family"] == "dynamics"
    assert summary["settings_sha256"] == quick_settings().sha256
