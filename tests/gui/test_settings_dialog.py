"""The settings dialog: fields with their faults, a trial beside the window, and a file that keeps what is not ours."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest
import tune_script
from example_snapshots import example
from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit

from backend.requests import Reply, TakeSettings
from backend.settings import load_settings
from backend.settings_changes import with_changes
from mento_gui.settings_dialog import SettingsDialog, SettingsPlace
from mento_gui.tuning_process import TuningProcess, TuningTask
from widgets.help_panel import help_page
from widgets.theme import DARK

FILE = """# of the beamline
[rings]
count = 20 # as always

[damage]
structure_tolerance_percent = 4.0
# measured in spring
systematic_time_s = 9.0

[dose]
thickness_mm = 1.5
"""


@pytest.fixture
def place(tmp_path: Path) -> SettingsPlace:
    file = tmp_path / "p10.toml"
    file.write_text(FILE)
    return SettingsPlace(file, None, tuple(tmp_path / "raw" / f"gel_0000{number}" for number in (3, 2, 1)))


@pytest.fixture
def open_dialog(qtbot, keep, place: SettingsPlace):
    def make(how: str = "end", where: SettingsPlace = place) -> SettingsDialog:
        tuning = TuningProcess(program=(sys.executable, tune_script.__file__, how))
        dialog = SettingsDialog(where, tuning=tuning)
        keep(dialog)
        dialog.set_theme(DARK)
        dialog.show()
        qtbot.waitExposed(dialog)
        return dialog

    return make


def fill(dialog: SettingsDialog, section: str, **texts: str) -> None:
    for name, text in texts.items():
        dialog.forms[section].fields[name].set_text(text)


def press(qtbot, button: QAbstractButton) -> None:
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.LeftButton)


def test_it_begins_with_the_file_and_offers_nothing_to_save(open_dialog) -> None:
    dialog = open_dialog()
    damage = dialog.forms["damage"].fields
    assert damage["structure_tolerance_percent"].text == "4"
    assert damage["false_alarms_per_100_h"].text == "1 in 100 h"
    assert dialog.forms["dose"].fields["material"].text == "water"
    assert dialog.changes == ()
    assert not dialog.save.isEnabled() and not dialog.revert.isEnabled()
    assert dialog.consequences.start.isEnabled()


def test_a_bad_value_is_marked_at_its_field_and_cannot_be_saved(open_dialog) -> None:
    dialog = open_dialog()
    fill(dialog, "damage", structure_tolerance_percent="-3", contrast_tolerance_percent="12")
    field = dialog.forms["damage"].fields["structure_tolerance_percent"]
    assert field.fault.isVisible()
    assert field.fault.text() == "▲ -3 is outside the range: more than 0, at most 1000 %."
    assert field.editor.property("fault") is True
    assert not dialog.save.isEnabled() and not dialog.consequences.start.isEnabled()
    assert dialog.tabs.tabText(0).endswith("▲ 1")
    fill(dialog, "damage", structure_tolerance_percent="3")
    assert not field.fault.isVisible() and dialog.save.isEnabled()


def test_save_keeps_the_rest_of_the_file_and_says_who(qtbot, open_dialog, place: SettingsPlace) -> None:
    dialog = open_dialog()
    dialog.author.setText("anna")
    fill(dialog, "damage", structure_tolerance_percent="3", false_alarms_per_100_h="1 in 200 h")
    fill(dialog, "dose", thickness_mm="", beam_width_um="30")
    with qtbot.waitSignal(dialog.saved) as caught:
        press(qtbot, dialog.save)
    assert caught.args == [place.file, "anna"]
    text = place.file.read_text()
    for line in (
        "# of the beamline",
        "count = 20 # as always",
        "# measured in spring\nsystematic_time_s = 9.0",
    ):
        assert line in text
    assert "structure_tolerance_percent = 3.0 # set by anna, 20" in text
    assert "thickness_mm" not in text
    written = load_settings(place.file)
    assert written.damage.false_alarms_per_100_h == 0.5
    assert (written.dose.thickness_mm, written.dose.beam_width_um) == (None, 30.0)
    assert dialog.changes == () and dialog.status.text().endswith("holds from the next series on.")
    assert sorted(path.name for path in place.file.parent.iterdir()) == ["p10.toml"]


def test_a_first_file_is_made_and_one_that_cannot_be_written_is_told(qtbot, open_dialog, tmp_path) -> None:
    shared = tmp_path / "shared"
    dialog = open_dialog(where=SettingsPlace(None, shared / "mento-gui.toml", ()))
    assert "these are the defaults" in dialog.status.text()
    assert "no stored series" in dialog.consequences.words.text()
    assert not dialog.consequences.start.isEnabled()
    fill(dialog, "damage", window_frames="16")
    press(qtbot, dialog.save)
    assert "cannot be written" in dialog.status.text() and dialog.changes == ("damage.window_frames=16",)
    shared.mkdir()
    press(qtbot, dialog.save)
    assert load_settings(shared / "mento-gui.toml").damage.window_frames == 16
    assert f"with --settings {shared / 'mento-gui.toml'} the next time" in dialog.status.text()


def test_a_file_that_cannot_be_read_is_told_and_left_alone(open_dialog, place: SettingsPlace) -> None:
    place.file.write_text("[damage")
    dialog = open_dialog()
    assert "is not valid TOML" in dialog.status.text()
    assert not dialog.forms["damage"].isEnabled() and not dialog.save.isEnabled()


def test_back_to_the_file(qtbot, open_dialog) -> None:
    dialog = open_dialog()
    fill(dialog, "dose", material="silica")
    fill(dialog, "damage", window_frames="none")
    press(qtbot, dialog.revert)
    assert (dialog.changes, dialog.faults) == ((), {})


def test_a_field_goes_back_to_its_default(qtbot, open_dialog) -> None:
    dialog = open_dialog()
    field = dialog.forms["damage"].fields["structure_tolerance_percent"]
    press(qtbot, field.to_default)
    assert field.text == "5" and not field.to_default.isEnabled()
    assert dialog.changes == ("damage.structure_tolerance_percent=5.0",)


def test_the_changes_are_those_of_the_command_line(open_dialog, place: SettingsPlace) -> None:
    dialog = open_dialog()
    fill(dialog, "damage", false_alarms_per_100_h="1 in 300 h", watch_evidence="33.3")
    fill(
        dialog,
        "dose",
        thickness_mm="",
        horizontal_motors="hexx, samx",
        spots_of_any_sample="yes",
        material="pmma",
    )
    settings = with_changes(load_settings(place.file), dialog.changes)
    for section, form in dialog.forms.items():
        assert getattr(settings, section) == form.read().section


def test_a_trial_shows_what_would_change_before_save(qtbot, open_dialog) -> None:
    dialog = open_dialog()
    fill(dialog, "damage", structure_tolerance_percent="900")
    assert "without a trial" in dialog.save.text()
    panel = dialog.consequences
    with qtbot.waitSignal(dialog._tuning.ended, timeout=20_000):
        press(qtbot, panel.start)
        assert panel.is_running and not panel.start.isEnabled()
    assert panel.words.text() == (
        "1 series: verdict changed in 1; alarms gained 0, lost 1, earlier 0, later 0."
    )
    row = [panel.table.rows.index(0, column).data() for column in range(5)]
    assert row == [
        "gel_00002",
        "DAMAGING",
        "WATCH",
        "lost, was frame 229",
        "450 per 100 h (11.4 to 2450)",
    ]
    hint = panel.table.rows.index(0, 4).data(Qt.ToolTipRole)
    assert hint == (
        "1 of 100 called DAMAGING (0.025 to 5.4 %), 3 once WATCH, 98 with a verdict; 13 min 20 s of exposure simulated "
        "with 12 % of the pixels."
    )
    assert panel.notes.text() == "gel_00002: the frame time is odd."
    assert dialog.save.text() == "&Save" and dialog.save.isEnabled() and not panel.is_running
    fill(dialog, "damage", structure_tolerance_percent="800")
    assert "other values" in panel.words.text() and "without a trial" in dialog.save.text()


def test_a_trial_leaves_the_window_free_and_can_be_cancelled(qtbot, open_dialog) -> None:
    dialog = open_dialog("stay")
    panel = dialog.consequences
    press(qtbot, panel.start)
    qtbot.waitUntil(lambda: len(panel.table.consequences) == 1, timeout=20_000)
    assert panel.progress.value() == 500
    fill(dialog, "damage", window_frames="16")
    assert dialog.changes == ("damage.window_frames=16",)
    process = dialog._tuning._process
    press(qtbot, panel.cancel)
    assert not panel.is_running and not dialog._tuning.is_running
    assert process.state() == process.NotRunning
    assert "cancelled" in panel.words.text() and panel.start.isEnabled()


def test_closing_ends_the_trial(qtbot, open_dialog) -> None:
    dialog = open_dialog("stay")
    press(qtbot, dialog.consequences.start)
    qtbot.waitUntil(lambda: len(dialog.consequences.table.consequences) == 1, timeout=20_000)
    qtbot.keyClick(dialog, Qt.Key_Escape)
    assert not dialog.isVisible() and not dialog._tuning.is_running


def test_a_trial_that_fails_says_why(qtbot, open_dialog) -> None:
    dialog = open_dialog("fail")
    with qtbot.waitSignal(dialog._tuning.ended, timeout=20_000):
        press(qtbot, dialog.consequences.start)
    assert dialog.consequences.words.text() == "The trial has failed: /raw/gel_00002 holds no series."


def test_a_program_that_is_not_there_is_told(qtbot, tmp_path: Path) -> None:
    tuning = TuningProcess(program=(str(tmp_path / "nowhere"),))
    with qtbot.waitSignal(tuning.ended, timeout=20_000) as caught:
        tuning.start(TuningTask((), None, (), 0, 0))
    assert "cannot be started" in caught.args[1]


def test_the_task_as_a_person_types_it() -> None:
    task = TuningTask(
        (Path("/raw/a b"),), Path("/p10.toml"), ("damage.window_frames=16", "dose.thickness_mm="), 100, 0
    )
    assert task.command_line == (
        "mento-gui tune --on '/raw/a b' --settings /p10.toml --set damage.window_frames=16 --set dose.thickness_mm= "
        "--nulls 100"
    )


def test_keys_alone_are_enough(qtbot, open_dialog) -> None:
    dialog = open_dialog()
    dialog.activateWindow()
    qtbot.waitUntil(dialog.isActiveWindow, timeout=5000)
    editor = dialog.forms["damage"].fields["structure_tolerance_percent"].editor
    editor.setFocus()
    editor.selectAll()
    qtbot.keyClicks(editor, "7")
    assert dialog.changes == ("damage.structure_tolerance_percent=7.0",)
    with qtbot.waitSignal(dialog._tuning.ended, timeout=20_000):
        qtbot.keyClick(dialog, Qt.Key_Return, Qt.ControlModifier)
    with qtbot.waitSignal(dialog.saved):
        qtbot.keyClick(dialog, Qt.Key_S, Qt.AltModifier)


def test_every_control_is_explained(open_dialog) -> None:
    dialog = open_dialog()
    controls = [
        control
        for kind in (QAbstractButton, QLineEdit, QComboBox, QAbstractSpinBox)
        for control in dialog.findChildren(kind)
        if not control.objectName().startswith("qt_")
        and not isinstance(control.parent(), (QComboBox, QAbstractSpinBox))
    ]  # fmt: skip
    assert len(controls) > 40
    assert [control for control in controls if not control.toolTip() and control.isVisibleTo(dialog)] == []
    assert help_page(str(dialog.property("help"))) != help_page("overview")


def test_the_window_opens_it_and_tells_the_backend(qtbot, window, link, wire, tmp_path: Path) -> None:
    file = tmp_path / "p10.toml"
    file.write_text(FILE)
    snapshot = example()
    backend = msgspec.structs.replace(snapshot.backend, settings_file=str(file), watching="/gpfs/current/raw")
    wire.newest = msgspec.structs.replace(snapshot, backend=backend)
    link.poll()
    window.actions_by_text["Damage verdict and dose…"].trigger()
    dialog = window.settings.dialog
    assert dialog is not None and dialog.isVisible()
    assert dialog.file.text() == str(file)
    assert dialog._place.series[0].parent == Path("/gpfs/current/raw")
    fill(dialog, "damage", window_frames="16")
    window.show_settings()
    assert window.settings.dialog is dialog and dialog.changes == ("damage.window_frames=16",)
    dialog.author.setText("anna")
    press(qtbot, dialog.save)
    assert wire.sent == [TakeSettings(file=str(file), author="anna")]
    wire.answers = [(1, Reply(ok=False, message="The ledger is full.", try_this="Make room."))]
    link.poll()
    assert window.message_bar.what.text() == "The ledger is full."
    qtbot.keyClick(dialog, Qt.Key_F1)
    assert "Try" in window._help.text.toPlainText()
