"""The running mean image with its q rings: logarithmic, masked pixels apart from zero counts."""

from __future__ import annotations

import math

import numpy as np
import pyqtgraph as pg
from PyQt5.QtCore import QPointF, QRectF, Qt
from PyQt5.QtWidgets import QHBoxLayout, QWidget

from backend.snapshot import ImagePart, Snapshot
from widgets.colour_bar import ColourBar
from widgets.plot_setup import CurvePlot
from widgets.quantity_words import count_words, log_tick_words, three_digits
from widgets.ring_overlay import RingOverlay
from widgets.theme import Theme
from widgets.view_frame import ViewFrame

SATURATED_LEVEL = 254
MASKED_LEVEL = 255
_SATURATED_COLOUR = "#00E5FF"
_MASKED_COLOUR = "#5B6168"
_COUNT_MAP = "inferno"


class SpeckleView(ViewFrame):
    """Image of the preview levels. A click selects the ring under it; moving the mouse reads q and counts."""

    part_name = "image"

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Speckle", "Mean image of the series so far. Click a ring to follow it.", parent)
        self._table = _colour_table()
        self.plot = CurvePlot()
        self.plot.setToolTip("Click a ring to follow it in all pictures. Wheel zooms, double click resets.")
        self.plot.hideAxis("left")
        self.plot.hideAxis("bottom")
        self.plot.setAspectLocked(True)
        self.plot.invertY(True)
        self.image = pg.ImageItem()
        self.image.setLookupTable(self._table)
        self.image.setLevels((0, 255))
        self.rings = RingOverlay()
        self.plot.addItem(self.image)
        self.plot.addItem(self.rings)
        self.bar = ColourBar("counts")
        self.bar.setToolTip("Mean counts per detector pixel and frame.")
        self.bar.set_colours(self._table[:SATURATED_LEVEL])
        self.bar.set_swatches(
            (("zero", _hex(self._table[0])), ("saturated", _SATURATED_COLOUR), ("masked", _MASKED_COLOUR))
        )
        layout = QHBoxLayout(self.content)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.plot, 1)
        layout.addWidget(self.bar)
        self._part: ImagePart | None = None
        self._cursor: QPointF | None = None
        self._shape_yx: tuple[int, int] | None = None
        self.plot.scene().sigMouseClicked.connect(self._click)
        self.plot.scene().sigMouseMoved.connect(self._move)
        self.plot.mouse_left.connect(lambda: self._move(None))

    def inputs(self, snapshot: Snapshot) -> tuple[object, ...]:
        """The image part and the ring that is followed."""
        return (snapshot.image,)

    def draw(self, snapshot: Snapshot) -> None:
        """Draw levels, rings and the ticks of the colour bar."""
        part = snapshot.image
        assert part is not None
        self._part = part
        self.image.setImage(part.preview, autoLevels=False)
        rows, columns = part.preview.shape
        bounds = QRectF(0, 0, columns, rows)
        self.rings.set_rings(part.beam_center_yx, part.ring_radii, bounds)
        self.rings.set_selected(self.selected_ring)
        self.bar.set_ticks(count_ticks(part.level_counts))
        if self._shape_yx != (rows, columns):
            self._shape_yx = (rows, columns)
            self.plot.forget_ranges()
            # Wide enough for a long detector in a tall place: limits that bind would cut the picture off.
            reach = 4 * max(rows, columns)
            self.plot.setLimits(xMin=-reach, xMax=reach, yMin=-reach, yMax=reach)
            self.plot.follow("x", 0, columns)
            self.plot.follow("y", 0, rows)
        self._write_note()

    def set_theme(self, theme: Theme) -> None:
        """Use the colours of ``theme`` around the image; the image keeps its own."""
        self.plot.set_theme(theme)
        self.plot.setBackground(theme.panel)
        self.bar.set_theme(theme)
        super().set_theme(theme)

    def reading_at(self, x: float, y: float) -> str:
        """What lies under this point of the picture, in words; empty outside the image."""
        part = self._part
        if part is None:
            return ""
        column, row = math.floor(x), math.floor(y)
        if not (0 <= row < part.preview.shape[0] and 0 <= column < part.preview.shape[1]):
            return ""
        ring = self.rings.ring_at(x, y)
        q = _q_at_radius(part, self.rings.radius_at(x, y))
        where = f"q {three_digits(q)} nm⁻¹" + ("" if ring is None else f" · ring {ring + 1}")
        return f"{where} · {_counts_words(int(part.preview[row, column]), part.level_counts)}"

    def _summary(self, part: ImagePart) -> str:
        words = [f"mean of {count_words(part.frames)} frames", f"{count_words(part.masked_pixels)} px masked"]
        if part.saturated_pixels:
            words.insert(1, f"{count_words(part.saturated_pixels)} px saturated")
        return " · ".join(words)

    def _click(self, event: pg.GraphicsScene.mouseEvents.MouseClickEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton or event.double() or self._part is None:
            return
        point = self.image.mapFromScene(event.scenePos())
        ring = self.rings.ring_at(point.x(), point.y())
        if ring is not None:
            self.ring_selected.emit(ring)

    def _move(self, scene_position: QPointF | None) -> None:
        self._cursor = scene_position
        self._write_note()

    def _write_note(self) -> None:
        if self._part is None:
            return
        reading = ""
        # What is under the mouse stays on display while new frames come in.
        if self._cursor is not None:
            point = self.image.mapFromScene(self._cursor)
            reading = self.reading_at(point.x(), point.y())
        self.note.setText(reading or self._summary(self._part))


def count_ticks(level_counts: np.ndarray) -> list[tuple[float, str]]:
    """Places (0 to 1) and labels of round counts along the levels, shape (level,), counts ascending.

    Over fewer than two decades 2 and 5 are labelled besides the powers of ten.
    """
    counts = np.asarray(level_counts, dtype=float)
    positive = np.flatnonzero(counts > 0)
    if positive.size < 2 or not np.all(np.diff(counts[positive]) >= 0):
        return [(0.0, "0")]
    low, high = np.log10(counts[positive[0]]), np.log10(counts[positive[-1]])
    factors = (1, 2, 5) if high - low < 2.0 else (1,)
    ticks = [(0.0, "0")]
    for exponent in range(math.floor(low), math.ceil(high) + 1):
        for factor in factors:
            value = exponent + math.log10(factor)
            if low <= value <= high:
                level = np.interp(value, np.log10(counts[positive]), positive)
                ticks.append((float(level) / (len(counts) - 1), log_tick_words(exponent, factor)))
    return ticks


def _colour_table() -> np.ndarray:
    table = np.zeros((256, 3), dtype=np.uint8)
    table[:SATURATED_LEVEL] = pg.colormap.get(_COUNT_MAP).getLookupTable(0.0, 1.0, SATURATED_LEVEL)[:, :3]
    for level, colour in ((SATURATED_LEVEL, _SATURATED_COLOUR), (MASKED_LEVEL, _MASKED_COLOUR)):
        table[level] = pg.mkColor(colour).getRgb()[:3]
    return table


def _hex(rgb: np.ndarray) -> str:
    return "#{:02X}{:02X}{:02X}".format(*rgb)


def _counts_words(level: int, level_counts: np.ndarray) -> str:
    if level == MASKED_LEVEL:
        return "masked"
    if level == SATURATED_LEVEL:
        return "saturated"
    return f"{three_digits(float(level_counts[level]))} counts per frame"


def _q_at_radius(part: ImagePart, radius: float) -> float:
    """Q at a distance from the beam in preview pixels, read off the rings (1/nm); linear, as angles are small."""
    middle = part.ring_radii.mean(axis=1)
    if not middle.size:
        return math.nan
    return radius * float(np.median(part.q_inv_nm / middle))
