"""What a job left, shown: curves, pictures and texts; and the recipes that run by themselves."""

from __future__ import annotations

from pathlib import Path

import h5py
import msgspec
import numpy as np
import pytest
from example_snapshots import example
from PyQt5.QtGui import QColor, QImage
from PyQt5.QtWidgets import QMenu, QPlainTextEdit, QWidget

from backend.output_view import OutputView, read_output_view
from backend.output_views import read_output_views
from backend.requests import ChooseRecipe
from backend.snapshot import JobOutput, JobRow, RecipeRow
from mento_gui.main_window import MainWindow
from mento_gui.output_reading import OutputOpener
from widgets.job_table import JobTable
from widgets.output_window import OutputWindow, PictureLabel
from widgets.plot_setup import CurvePlot
from widgets.recipe_menu import RecipeMenu
from widgets.theme import DARK, LIGHT

LAG_S = np.geomspace(1e-3, 1e2, 40)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    g2 = 1 + 0.2 * np.exp(-2 * np.outer(LAG_S, [0.1, 1.0, 5.0]))
    with h5py.File(tmp_path / "g2.h5", "w") as file:
        file["lag"], file["g2"] = LAG_S, g2
        file["deep/cube"] = np.zeros((2, 3, 4))
    lines = ["lag_s;q1;q2", *(f"{lag};{one};{two}" for lag, (one, two, _) in zip(LAG_S, g2, strict=True))]
    (tmp_path / "g2.csv").write_text("\n".join(lines))
    picture = QImage(60, 40, QImage.Format.Format_RGB32)
    picture.fill(QColor("#56B4E9"))
    assert picture.save(str(tmp_path / "map.png"))
    (tmp_path / "note.txt").write_text("all is well\n")
    return {path.name: path for path in tmp_path.iterdir()}


def view(path: Path, kind: str, **shown: object) -> OutputView:
    return read_output_view(JobOutput(path=str(path), kind=kind, **shown))  # type: ignore[arg-type]


def test_curves_of_a_table_go_with_their_x(files: dict[str, Path]) -> None:
    drawn = view(files["g2.h5"], "hdf5", x="lag", y=("g2",))
    assert [curve.label for curve in drawn.curves] == ["g2 1", "g2 2", "g2 3"]
    np.testing.assert_array_equal(drawn.curves[0].x, LAG_S)
    from_csv = view(files["g2.csv"], "csv")
    assert [curve.label for curve in from_csv.curves] == ["q1", "q2"] and from_csv.x_label == "lag_s"
    np.testing.assert_allclose(from_csv.curves[1].y, drawn.curves[1].y)
    alone = view(files["g2.csv"], "csv", y=("q2",))
    assert alone.x_label == "index" and alone.curves[0].x[-1] == 39


@pytest.mark.parametrize(
    ("name", "kind", "shown", "words"),
    [
        ("g2.h5", "hdf5", {}, "/g2  40 x 3  float64"),
        ("g2.h5", "hdf5", {"y": ("deep/cube",)}, "3 axes"),
        ("g2.h5", "hdf5", {"x": "g2", "y": ("lag",)}, "for 120 places"),
        ("g2.h5", "hdf5", {"y": ("none",)}, "holds no none"),
        ("note.txt", "text", {}, "all is well"),
        ("note.txt", "file", {}, "12 bytes"),
        ("missing", "text", {}, "No such file"),
        ("missing", "png", {}, "No such file"),
    ],
)
def test_what_cannot_be_drawn_is_said(
    files: dict[str, Path], name: str, kind: str, shown: dict[str, object], words: str
) -> None:
    path = files.get(name, files["note.txt"].with_name("missing"))
    told = view(path, kind, **shown)
    assert words in told.text and told.curves == ()


def test_long_and_many_curves_are_thinned_out(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "many.h5", "w") as file:
        file["y"] = np.zeros((50_000, 40))
    drawn = view(tmp_path / "many.h5", "hdf5", y=("y",))
    assert len(drawn.curves) == 12 and "12 of 40" in drawn.note
    assert (drawn.curves[0].label, drawn.curves[-1].label) == ("y 1", "y 40")
    assert drawn.curves[0].x.size <= 20_000


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=["dark", "light"])
def test_one_tab_for_each_file(qtbot, keep, files: dict[str, Path], theme) -> None:
    views = [
        view(files["g2.h5"], "hdf5", x="lag", y=("g2",)), view(files["map.png"], "png"),
        view(files["note.txt"], "text", title="Note"), view(files["note.txt"], "png"),
    ]  # fmt: skip
    parent = QWidget()
    keep(parent)
    window = OutputWindow("count on silica_00001", views, theme, parent)
    keep(window)
    window.show()
    qtbot.waitExposed(window)
    assert [window.tabs.tabText(index) for index in range(4)] == ["g2.h5", "map.png", "Note", "note.txt"]
    (plot,) = window.tabs.widget(0).findChildren(CurvePlot)
    low, high = plot.getViewBox().viewRange()[0]
    assert (low, high) == pytest.approx((-3, 2), abs=0.01)
    window.tabs.setCurrentIndex(1)
    picture = window.tabs.widget(1).findChild(PictureLabel)
    assert picture.pixmap().width() / picture.pixmap().height() == pytest.approx(1.5, rel=0.02)
    assert window.tabs.widget(2).findChild(QPlainTextEdit).toPlainText() == "all is well\n"
    assert "no PNG" in window.tabs.widget(3).findChild(PictureLabel).text()


def test_from_the_row_of_the_job_to_its_window(qtbot, window: MainWindow, files: dict[str, Path]) -> None:
    output = JobOutput(path=str(files["g2.csv"]), kind="csv")
    row = JobRow(
        job_id="k", series="silica_00001", recipe="count", executor="local", state="done", reason="",
        submitted_at=1.0, outputs=(output,),
    )  # fmt: skip
    jobs = window.page.jobs
    jobs.outputs_wanted.connect(OutputOpener(window).open)
    entry = _entry(jobs, row)
    assert entry.isEnabled() and not _entry(jobs, msgspec.structs.replace(row, outputs=())).isEnabled()
    entry.trigger()
    qtbot.waitUntil(lambda: window.findChild(OutputWindow) is not None)
    shown = window.findChild(OutputWindow)
    assert shown.windowTitle() == "count on silica_00001" and shown.isVisible()
    shown.close()


def _entry(jobs: JobTable, row: JobRow):
    return next(action for action in jobs.menu_for(row).actions() if action.text() == "Show its results")


def test_recipes_are_ticked_by_the_backend_alone(qtbot, keep) -> None:
    button = RecipeMenu()
    keep(button)
    rows = (
        RecipeRow(name="count", title="Count", description="d", executor="local", runs=False),
        RecipeRow(
            name="far", title="Far", description="d", executor="slurm", runs=False, problem="not set up"
        ),
        RecipeRow(name="xpcs", title="Full", description="d", executor="local", runs=True),
    )
    assert not button.isEnabled()
    snapshot = msgspec.structs.replace(example(), recipes=rows)
    button.show_snapshot(snapshot)
    menu = button.menu()
    assert isinstance(menu, QMenu) and button.text() == "Recipes (1 on)"
    assert [(entry.isChecked(), entry.isEnabled()) for entry in menu.actions()] == [
        (False, True), (False, False), (True, True),
    ]  # fmt: skip
    with qtbot.waitSignal(button.wish) as wished:
        menu.actions()[0].trigger()
    assert wished.args == [ChooseRecipe(recipe="count", runs=True)]
    button.show_snapshot(snapshot)
    assert not menu.actions()[0].isChecked()


def test_files_of_many_tasks_share_a_page(tmp_path: Path) -> None:
    outputs = []
    for task in range(40):
        for name, content in (("g2.csv", f"lag,g2\n1,{task}\n2,{task}\n"), ("said.txt", f"task {task}")):
            path = tmp_path / f"series_parts_{task}_{name}"
            path.write_text(content)
            kind = "csv" if name == "g2.csv" else "text"
            outputs.append(JobOutput(path=str(path), kind=kind, title=name, task=task))
    alone = JobOutput(path=outputs[0].path, kind="csv", title="alone")
    curves, *texts, last = read_output_views([*outputs, alone])
    assert curves.title == "g2.csv" and curves.note == "12 of 40 tasks are shown."
    assert [curve.label for curve in curves.curves][::11] == ["task 0", "task 39"]
    assert len(curves.curves) == len(texts) == 12
    assert texts[0].title == "said.txt (task 0)" and texts[0].text == "task 0"
    assert last.title == "alone" and len(last.curves) == 1
    # One that cannot be read does not keep the others from being drawn.
    Path(outputs[0].path).write_text("nothing")
    curves, *others = read_output_views(outputs[:6])
    assert curves.note == ""
    assert [curve.label for curve in curves.curves] == ["task 1", "task 2"]
    assert others[0].title == "g2.csv (task 0)" and "cannot be shown" in others[0].text
