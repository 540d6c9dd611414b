"""Draws the pictures of the documentation with the views of the window, in its light colours."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pyqtgraph as pg
from PyQt5.QtCore import Qt
from PyQt5.QtGui import QImage
from PyQt5.QtWidgets import QApplication, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from backend.snapshot import Snapshot
from widgets.facts_panel import BeamLine
from widgets.plot_setup import CurvePlot, thin_pen
from widgets.theme import LIGHT, apply_theme
from widgets.trend_view import TrendView
from widgets.verdict_panel import VerdictPanel

_VERDICT_SIZE = (760, 350)
_BOUND_SIZE = (520, 320)
_MOST_EVIDENCE = 3.0
_COLOURS = 256


class Canvas:
    """Makes PNG files; ``application`` as the program makes it."""

    def __init__(self, application: QApplication) -> None:
        self._application = application
        apply_theme(application, LIGHT)

    def save_verdict(self, path: Path, snapshot: Snapshot, story: str, onset: int | None) -> None:
        """The verdict, the change since the start and the intensity of a series; ``onset`` is the true one."""
        panel, trend, beam = VerdictPanel(), TrendView(), BeamLine()
        for view in (panel, trend, beam):
            view.set_theme(LIGHT)
        panel.setFixedWidth(250)
        beam.setFixedHeight(62)
        truth = "" if onset is None else f" True onset: frame {onset}."
        title = QLabel(f"{story}{truth}")
        title.setWordWrap(True)
        right = QVBoxLayout()
        right.addWidget(trend, 1)
        right.addWidget(beam)
        below = QHBoxLayout()
        below.addWidget(panel)
        below.addLayout(right, 1)
        picture = QWidget()
        layout = QVBoxLayout(picture)
        layout.addWidget(title)
        layout.addLayout(below, 1)
        picture.resize(*_VERDICT_SIZE)
        picture.show()
        panel.show_snapshot(snapshot, time.monotonic())
        trend.show_snapshot(snapshot)
        # Nobody can press a button in a picture.
        trend.over_dose.hide()
        beam.show_intensity(
            snapshot.intensity, None if snapshot.series is None else snapshot.series.expected_frames
        )
        panel.acknowledge()
        self._save(picture, path)

    def save_bound(self, path: Path, peaks: dict[str, np.ndarray]) -> None:
        """Share of undamaged series whose evidence ever reached a level, against the bound 1 / level."""
        plot = CurvePlot(log_x=True, log_y=True)
        plot.set_theme(LIGHT)
        plot.addLegend(offset=(-10, 10), labelTextColor=LIGHT.text)
        series = min(values.size for values in peaks.values())
        levels = np.linspace(0.0, _MOST_EVIDENCE, 121)
        plot.plot(
            levels, -levels, pen=thin_pen(LIGHT.alarm, 1.5, Qt.PenStyle.DashLine), name="bound: 1 / evidence"
        )
        for index, (name, values) in enumerate(peaks.items()):
            share = np.array([np.mean(values >= level) for level in levels])
            reached = share > 0
            pen = thin_pen(pg.intColor(index, len(peaks), maxValue=170).name(), 1.5)
            plot.plot(
                levels[reached], np.log10(share[reached]), pen=pen, name=f"{name}: {values.size} series"
            )
        plot.label_axes("evidence that is ever reached", "share of undamaged series")
        plot.follow("x", 0.0, _MOST_EVIDENCE)
        plot.follow("y", -np.log10(2 * series), 0.05)
        plot.resize(*_BOUND_SIZE)
        plot.show()
        self._save(plot, path)

    def _save(self, widget: QWidget, path: Path) -> None:
        for _ in range(3):
            self._application.processEvents()
        image = _with_colour_table(widget.grab().toImage())
        image.save(str(path), quality=0)
        widget.close()


def _with_colour_table(image: QImage) -> QImage:
    """The same with its most frequent colours alone, which makes a small file."""
    image = image.convertToFormat(QImage.Format_RGB32)
    pixels = np.frombuffer(image.constBits().asstring(image.sizeInBytes()), np.uint32)
    colours, number = np.unique(pixels, return_counts=True)
    table = colours[np.argsort(-number, kind="stable")[:_COLOURS]].tolist()
    return image.convertToFormat(QImage.Format_Indexed8, table, Qt.ThresholdDither)
