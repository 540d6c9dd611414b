"""The pictures of the documentation: the views of the window, in files that are small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from example_snapshots import example
from PyQt5.QtGui import QImage
from PyQt5.QtWidgets import QApplication

from backend.snapshot import VerdictState
from benchmarks.damage_canvas import Canvas

MOST_BYTES = 60_000


@pytest.fixture
def canvas(qapp: QApplication):
    before = qapp.palette(), qapp.styleSheet()
    yield Canvas(qapp)
    qapp.setPalette(before[0])
    qapp.setStyleSheet(before[1])


def _colours(path: Path) -> set[int]:
    image = QImage(str(path)).convertToFormat(QImage.Format_RGB32)
    return set(np.frombuffer(image.constBits().asstring(image.sizeInBytes()), np.uint32).tolist())


def test_a_verdict_is_drawn_in_its_colours_into_a_small_file(canvas: Canvas, tmp_path: Path) -> None:
    path = tmp_path / "damaging.png"
    canvas.save_verdict(path, example(VerdictState.DAMAGING), "Aggregates grow.", 1600)
    assert path.stat().st_size < MOST_BYTES
    assert {0xFFD55E00, 0xFFFFFFFF} <= _colours(path)
    assert len(_colours(path)) <= 256


def test_the_bound_is_drawn_with_every_kind_of_series(canvas: Canvas, tmp_path: Path) -> None:
    path = tmp_path / "bound.png"
    rng = np.random.default_rng(1)
    canvas.save_bound(path, {name: rng.exponential(0.3, 100) for name in ("slow", "fast")})
    assert path.stat().st_size < MOST_BYTES
    assert 0xFFD55E00 in _colours(path)
