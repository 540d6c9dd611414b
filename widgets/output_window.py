"""A small window with the files that a job left: pictures, curves and texts, one tab each."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from PyQt5.QtCore import QSize, Qt
from PyQt5.QtGui import QPixmap, QResizeEvent
from PyQt5.QtWidgets import QLabel, QPlainTextEdit, QTabWidget, QVBoxLayout, QWidget

from backend.output_view import OutputCurve, OutputView
from widgets.plot_setup import CurvePlot, nice_range, ring_colours, thin_pen
from widgets.theme import Theme

_SIZE = QSize(720, 520)
_LOG_FROM_RATIO = 100.0


class OutputWindow(QWidget):
    """Not modal; a second look at the same job is a second window."""

    def __init__(self, title: str, views: Sequence[OutputView], theme: Theme, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Window)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(title)
        self.resize(_SIZE)
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        for view in views:
            self.tabs.addTab(_page(view, theme), view.title)
            self.tabs.setTabToolTip(self.tabs.count() - 1, view.path)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(self.tabs)


class PictureLabel(QLabel):
    """A picture that fills its place without being distorted."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self._picture = QPixmap()
        if not self._picture.loadFromData(content, "PNG"):
            self.setText("This picture cannot be shown; it is no PNG that Qt can read.")
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setMinimumSize(80, 60)
        self._fit()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Scale the picture to the new size."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        if not self._picture.isNull():
            self.setPixmap(
                self._picture.scaled(
                    self.size(),
                    Qt.AspectRatioMode.KeepAspectRatio,
                    Qt.TransformationMode.SmoothTransformation,
                )
            )


def _page(view: OutputView, theme: Theme) -> QWidget:
    page = QWidget()
    layout = QVBoxLayout(page)
    layout.setContentsMargins(0, 4, 0, 0)
    if view.curves:
        layout.addWidget(_plot(view, theme), 1)
    elif view.picture:
        layout.addWidget(PictureLabel(view.picture), 1)
    else:
        text = QPlainTextEdit(view.text)
        text.setReadOnly(True)
        layout.addWidget(text, 1)
    words = QLabel(" · ".join(part for part in (view.note, view.path) if part))
    words.setObjectName("viewNote")
    words.setWordWrap(True)
    words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    layout.addWidget(words)
    return page


def _plot(view: OutputView, theme: Theme) -> CurvePlot:
    x = np.concatenate([curve.x for curve in view.curves])
    positive = x[np.isfinite(x) & (x > 0)]
    # Lags over decades are read on a logarithmic axis; a first lag of zero has no place there.
    log_x = positive.size > 0 and positive.size >= 0.8 * x.size
    log_x = log_x and positive.max() >= _LOG_FROM_RATIO * positive.min()
    plot = CurvePlot(log_x=log_x)
    plot.set_theme(theme)
    names = {curve.label for curve in view.curves}
    plot.label_axes(view.x_label, names.pop() if len(names) == 1 else "")
    legend = plot.addLegend(offset=(-8, 8), labelTextColor=theme.text) if len(view.curves) > 1 else None
    for curve, colour in zip(view.curves, ring_colours(len(view.curves), theme), strict=True):
        item = pg.PlotDataItem(
            *_drawn(curve, log_x), pen=thin_pen(colour), connect="finite", symbol="o" if curve.x.size == 1 else None
        )  # fmt: skip
        plot.addItem(item)
        if legend is not None:
            legend.addItem(item, curve.label)
    _show_all(plot, view.curves, log_x)
    return plot


def _drawn(curve: OutputCurve, log_x: bool) -> tuple[np.ndarray, np.ndarray]:
    if not log_x:
        return curve.x, curve.y
    shown = curve.x > 0
    return np.log10(curve.x[shown]), curve.y[shown]


def _show_all(plot: CurvePlot, curves: Sequence[OutputCurve], log_x: bool) -> None:
    drawn = [_drawn(curve, log_x) for curve in curves]
    for axis, values in (("x", [x for x, _ in drawn]), ("y", [y for _, y in drawn])):
        numbers = np.concatenate(values)
        numbers = numbers[np.isfinite(numbers)]
        if numbers.size:
            low, high = float(numbers.min()), float(numbers.max())
            low, high = (
                (low, high) if axis == "x" and math.isfinite(low) and low < high else nice_range(low, high)
            )
            plot.follow(axis, low, high)
