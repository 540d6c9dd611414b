"""A table of frozen rows that announces only the cells that changed, so that a long table stays cheap to update."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from PyQt5.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt
from PyQt5.QtGui import QIcon, QPainter, QPaintEvent, QPalette
from PyQt5.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from widgets.qt_objects import existing

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """One column: what it says, how wide it starts (in characters), and which one takes the room left over."""

    title: str
    tooltip: str
    words: Callable[[Row], str]
    width_chars: int
    stretches: bool = False
    right_aligned: bool = False
    icon: Callable[[Row], QIcon | None] | None = None
    hint: Callable[[Row], str] | None = None


class RowModel(QAbstractTableModel, Generic[Row]):
    """Rows are told apart by ``key``; a row whose content changed is announced alone."""

    def __init__(
        self, columns: Sequence[Column[Row]], key: Callable[[Row], str], parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._columns = tuple(columns)
        self._key = key
        self._rows: tuple[Row, ...] = ()

    def set_rows(self, rows: Sequence[Row]) -> None:
        """Show these rows in this order."""
        new, old = tuple(rows), self._rows
        if [self._key(row) for row in new] != [self._key(row) for row in old]:
            self.beginResetModel()
            self._rows = new
            self.endResetModel()
            return
        self._rows = new
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            if before != after:
                self.dataChanged.emit(self.index(index, 0), self.index(index, len(self._columns) - 1))

    def refresh_icons(self) -> None:
        """Ask for all icons again (the theme changed)."""
        if self._rows:
            last = self.index(len(self._rows) - 1, len(self._columns) - 1)
            self.dataChanged.emit(self.index(0, 0), last, [Qt.ItemDataRole.DecorationRole])

    def row_at(self, row: int) -> Row:
        """The row shown at this place."""
        return self._rows[row]

    def place_of(self, key: str) -> int | None:
        """Where the row with this key is shown, or ``None``."""
        return next((place for place, row in enumerate(self._rows) if self._key(row) == key), None)

    def key_at(self, row: int) -> str:
        """The key of the row shown at this place."""
        return self._key(self._rows[row])

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Number of rows."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Number of columns."""
        return 0 if parent is not None and parent.isValid() else len(self._columns)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Words, icon, alignment or tooltip of one cell."""
        column, row = self._columns[index.column()], self._rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.words(row)
        if role == Qt.ItemDataRole.ToolTipRole:
            return (column.hint or column.words)(row)
        if role == Qt.ItemDataRole.DecorationRole and column.icon is not None:
            return column.icon(row)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return int(
                (Qt.AlignmentFlag.AlignRight if column.right_aligned else Qt.AlignmentFlag.AlignLeft)
                | Qt.AlignmentFlag.AlignVCenter
            )
        return None

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Column titles and what they mean."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        column = self._columns[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.title
        if role == Qt.ItemDataRole.ToolTipRole:
            return column.tooltip
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return int(
                (Qt.AlignmentFlag.AlignRight if column.right_aligned else Qt.AlignmentFlag.AlignLeft)
                | Qt.AlignmentFlag.AlignVCenter
            )
        return None


class RowTable(QTableView, Generic[Row]):
    """View of a ``RowModel``: whole rows are selected, nothing is edited, columns keep their width."""

    def __init__(
        self,
        columns: Sequence[Column[Row]],
        key: Callable[[Row], str],
        parent: QWidget | None = None,
        *,
        empty_words: str = "",
    ) -> None:
        super().__init__(parent)
        self._empty_words = empty_words
        self.rows: RowModel[Row] = RowModel(columns, key, self)
        self.setModel(self.rows)
        self.setSelectionBehavior(QAbstractItemView.SelectRows)
        self.setSelectionMode(QAbstractItemView.SingleSelection)
        self.setEditTriggers(QAbstractItemView.NoEditTriggers)
        self.setShowGrid(False)
        self.setAlternatingRowColors(True)
        self.setWordWrap(False)
        self.setFrameShape(self.NoFrame)
        self.setVerticalScrollMode(QAbstractItemView.ScrollPerPixel)
        height = self.fontMetrics().height()
        existing(self.verticalHeader()).hide()
        existing(self.verticalHeader()).setDefaultSectionSize(height + 6)
        header = existing(self.horizontalHeader())
        header.setHighlightSections(False)
        header.setMinimumSectionSize(30)
        header.setFixedHeight(height + 8)
        for place, column in enumerate(columns):
            header.resizeSection(place, self.fontMetrics().averageCharWidth() * (column.width_chars + 2))
            header.setSectionResizeMode(
                place, QHeaderView.Stretch if column.stretches else QHeaderView.Interactive
            )

    def show_rows(self, rows: Sequence[Row]) -> None:
        """Show these rows; the selected one stays selected."""
        current = self.currentIndex()
        key = self.rows.key_at(current.row()) if current.isValid() else None
        self.rows.set_rows(rows)
        place = None if key is None else self.rows.place_of(key)
        if place is not None and place != self.currentIndex().row():
            self.selectRow(place)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Paint the rows, or the sentence for an empty table."""
        super().paintEvent(event)
        if self.rows.rowCount() or event is None:
            return
        painter = QPainter(self.viewport())
        painter.setPen(self.palette().color(QPalette.ColorRole.PlaceholderText))
        painter.drawText(event.rect(), int(Qt.AlignmentFlag.AlignCenter), self._empty_words)
        painter.end()

    def selected_row(self) -> Row | None:
        """The selected row, or ``None``."""
        current = self.currentIndex()
        return self.rows.row_at(current.row()) if current.isValid() else None
