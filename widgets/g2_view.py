"""g2 of a few rings on a logarithmic lag axis, with errors, fits and the result of a finished job over it."""

from __future__ import annotations

import math

import numpy as np
import pyqtgraph as pg
from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import QLabel, QSizePolicy, QStackedWidget, QToolButton, QVBoxLayout, QWidget

from backend.snapshot import ConfirmedG2Part, G2Part, IntensityPart, Snapshot
from widgets.plot_setup import CurvePlot, nice_range, ring_colours, thin_pen
from widgets.quantity_words import count_words, three_digits
from widgets.rate_plot import RatePlot, law_words
from widgets.ring_curves import RingCurves
from widgets.theme import Theme
from widgets.view_frame import ViewFrame

MOST_RINGS = 6
_MOST_LEGEND_ENTRIES = 7


class G2View(ViewFrame):
    """Live g2 as points, fits as lines, job results as open squares; baseline at one, expected contrast shaded."""

    part_name = "g2"

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("g2", "Intensity correlation of each ring against the lag time.", parent)
        self.badge = QLabel(self)
        self.all_rings = QToolButton(self)
        self.over_q = QToolButton(self)
        self._set_up_header()
        self.legend = QLabel()
        self._set_up_legend()
        self.plot = CurvePlot(log_x=True)
        self.plot.setToolTip("Click a curve to follow its ring. Wheel zooms, double click resets.")
        self.plot.label_axes("lag (s)", "g2")
        self.band = pg.LinearRegionItem(orientation="horizontal", movable=False)
        self.band.setZValue(-20)
        self.baseline = pg.InfiniteLine(1.0, angle=0)
        self.plot.addItem(self.band)
        self.plot.addItem(self.baseline)
        self.curves = RingCurves(self.plot)
        self.curves.ring_clicked.connect(self.ring_selected)
        self.rates = RatePlot()
        self.rates.ring_clicked.connect(self.ring_selected)
        self.pages = QStackedWidget()
        self.pages.addWidget(self.plot)
        self.pages.addWidget(self.rates)
        layout = QVBoxLayout(self.content)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(1)
        layout.addWidget(self.legend)
        layout.addWidget(self.pages, 1)
        self._series = ""
        self._band_top = 1.0

    def _set_up_header(self) -> None:
        self.badge.setObjectName("badge")
        self.all_rings.setText("all q")
        self.all_rings.setCheckable(True)
        self.all_rings.setToolTip(f"Show every ring instead of at most {MOST_RINGS}.")
        self.all_rings.toggled.connect(lambda _on: self.redraw())
        self.over_q.setText("Γ(q)")
        self.over_q.setCheckable(True)
        self.over_q.setToolTip("Show the relaxation rates of all fitted rings against q.")
        self.over_q.toggled.connect(lambda _on: self.redraw())
        for item in (self.badge, self.all_rings, self.over_q):
            self.header.addWidget(item)

    def _set_up_legend(self) -> None:
        self.legend.setToolTip("Click a q to follow this ring in all pictures.")
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.legend.setSizePolicy(QSizePolicy.Ignored, QSizePolicy.Preferred)
        self.legend.linkActivated.connect(lambda ring: self.ring_selected.emit(int(ring)))

    def inputs(self, snapshot: Snapshot) -> tuple[object, ...]:
        """Live g2, confirmed g2, and the speckle contrast that g2 should start from."""
        contrast = None if snapshot.intensity is None else snapshot.intensity.ring_contrast
        return (snapshot.g2, snapshot.confirmed_g2, contrast, snapshot.selected_ring)

    def draw(self, snapshot: Snapshot) -> None:
        """Draw the chosen rings."""
        part = snapshot.g2
        assert part is not None
        name = "" if snapshot.series is None else snapshot.series.name
        if name != self._series:
            self._series = name
            self.plot.forget_ranges()
            self.rates.forget_ranges()
        followed = snapshot.selected_ring if self.selected_ring is None else self.selected_ring
        rings = (
            list(range(len(part.q_inv_nm))) if self.all_rings.isChecked() else chosen_rings(part, followed)
        )
        colours = ring_colours(len(part.q_inv_nm), self.theme)
        self.curves.draw(part, snapshot.confirmed_g2, rings, colours, self.selected_ring, self.theme)
        self._draw_band(snapshot.intensity, followed)
        self._draw_badge(snapshot.confirmed_g2, followed)
        self.badge.show()
        self.all_rings.setHidden(self.over_q.isChecked())
        self.over_q.show()
        self._follow(part, rings)
        self.legend.setText(_legend(part, rings, colours, self.selected_ring))
        self.all_rings.setText(f"all {len(part.q_inv_nm)} q")
        over_q = self.over_q.isChecked()
        if over_q:
            self.rates.draw(part, colours, self.selected_ring, self.theme)
        self.pages.setCurrentWidget(self.rates if over_q else self.plot)
        self.note.setText(law_words(part) if over_q else _fit_words(part, followed))

    def show_empty(self, sentence: str) -> None:
        """Without a curve there is nothing to confirm or to choose."""
        super().show_empty(sentence)
        self.badge.hide()
        self.all_rings.hide()
        self.over_q.hide()

    def set_theme(self, theme: Theme) -> None:
        """Use the colours of ``theme``."""
        self.plot.set_theme(theme)
        self.rates.set_theme(theme)
        self.baseline.setPen(thin_pen(theme.quiet, style=Qt.PenStyle.DashLine))
        super().set_theme(theme)

    def _draw_band(self, intensity: IntensityPart | None, ring: int) -> None:
        known = intensity is not None and ring < len(intensity.ring_contrast)
        self.band.setVisible(known)
        self._band_top = 1.0
        if intensity is None or not known:
            return
        level = 1.0 + float(intensity.ring_contrast[ring])
        half = 2.0 * float(intensity.ring_contrast_err[ring])
        if not np.isfinite([level, half]).all():
            self.band.setVisible(False)
            return
        colour = pg.mkColor(self.theme.quiet)
        colour.setAlpha(50)
        self.band.setBrush(colour)
        for line in self.band.lines:
            line.setPen(thin_pen(colour))
        self.band.setRegion((level - half, level + half))
        self._band_top = level + half

    def _draw_badge(self, confirmed: ConfirmedG2Part | None, ring: int) -> None:
        agreement = "provisional" if confirmed is None else confirmed.agreement
        roles = {"confirmed": self.theme.good, "disputed": self.theme.watch}
        colour = roles.get(agreement, self.theme.unknown)
        line = "dashed" if confirmed is None else "solid"
        self.badge.setText(agreement)
        self.badge.setStyleSheet(f"border: 1px {line} {colour}; border-radius: 3px; padding: 0 6px;")
        if confirmed is None:
            self.badge.setToolTip("Live result; the full correlation of this series has not come back yet.")
            return
        z = confirmed.z_score[ring] if ring < len(confirmed.z_score) else np.nan
        self.badge.setToolTip(
            f"Full correlation (job {confirmed.job_id}), drawn as open squares; it differs from the live g2 of this "
            f"ring by {three_digits(float(z))} combined errors (root mean square).{_worst_words(confirmed)}"
        )

    def _follow(self, part: G2Part, rings: list[int]) -> None:
        lag_s = part.lag_s[part.lag_s > 0]
        if not lag_s.size:
            return
        self.plot.follow("x", float(np.log10(lag_s[0])) - 0.1, float(np.log10(lag_s[-1])) + 0.1)
        values, errors = part.g2[rings], part.g2_err[rings]
        spread = max(float(np.max(values[np.isfinite(values)], initial=1.0)) - 1.0, 0.02)
        # Points whose error is as large as the curve itself must not set the scale.
        shown = values[np.isfinite(values) & (errors < 0.25 * spread)]
        if shown.size:
            tops = [float(shown.max()), self._band_top, 1.02]
            self.plot.follow("y", *nice_range(min(1.0, float(np.percentile(shown, 1))), max(tops)))


def chosen_rings(part: G2Part, followed: int) -> list[int]:
    """At most ``MOST_RINGS`` rings spread evenly over those with data, the followed one among them; ascending."""
    alive = np.flatnonzero(np.isfinite(part.g2).any(axis=1))
    if not alive.size:
        return []
    picks = alive[np.unique(np.linspace(0, alive.size - 1, MOST_RINGS).round().astype(int))].tolist()
    if followed in alive and followed not in picks:
        picks[int(np.argmin([abs(pick - followed) for pick in picks]))] = followed
    return sorted(picks)


def _legend(part: G2Part, rings: list[int], colours: list, selected: int | None) -> str:
    words = ["q (nm⁻¹)"]
    for ring in rings[:: math.ceil(len(rings) / _MOST_LEGEND_ENTRIES) or 1]:
        q = three_digits(float(part.q_inv_nm[ring]))
        text = f"<b>{q}</b>" if ring == selected else q
        colour = colours[ring].name()
        words.append(f'<a href="{ring}" style="color:{colour}; text-decoration:none">●&nbsp;{text}</a>')
    return " &nbsp;".join(words)


def _worst_words(confirmed: ConfirmedG2Part) -> str:
    known = np.flatnonzero(np.isfinite(confirmed.z_score))
    if not known.size:
        return ""
    worst = known[np.argmax(confirmed.z_score[known])]
    q, z = float(confirmed.q_inv_nm[worst]), float(confirmed.z_score[worst])
    return f" The most of all rings: {three_digits(z)} at q {three_digits(q)} nm⁻¹."


def _fit_words(part: G2Part, ring: int) -> str:
    fit = part.fits[ring] if ring < len(part.fits) else None
    frames = f"{count_words(part.frames)} frames"
    if ring >= len(part.q_inv_nm):
        return frames
    q = f"q {three_digits(float(part.q_inv_nm[ring]))}"
    if fit is None:
        reason = part.fit_reasons[ring] if ring < len(part.fit_reasons) else ""
        return f"{q}: {reason} · {frames}" if reason else frames
    return (
        f"{q}: Γ = {three_digits(fit.gamma_per_s)} ± "
        f"{three_digits(fit.gamma_err_per_s)} s⁻¹, β = {fit.contrast:.3f} ± {fit.contrast_err:.3f} · {frames}"
    )
