"""One section of the settings as a form: every field with unit, range, default and effect, and its fault beside it."""

from __future__ import annotations

from PyQt5.QtCore import Qt, pyqtSignal
from PyQt5.QtGui import QWheelEvent
from PyQt5.QtWidgets import (
    QComboBox,
    QFrame,
    QGridLayout,
    QLabel,
    QLineEdit,
    QScrollArea,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from backend.settings_form import FieldWords, FilledIn, field_words, filled_in, texts_of
from backend.settings_section import SettingsSection
from widgets.qt_objects import existing

_EDITOR_CHARS = 16


class _ChoiceBox(QComboBox):
    """The wheel scrolls the form; it shall not change a value on the way."""

    def wheelEvent(self, e: QWheelEvent | None) -> None:
        """Leave the wheel to the form."""
        if e is not None:
            e.ignore()


class SettingField(QWidget):
    """One field. ``edited`` is emitted whenever its text changes."""

    edited = pyqtSignal()

    def __init__(self, words: FieldWords, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.words = words
        self.editor: QLineEdit | QComboBox = self._make_editor()
        self.editor.setToolTip(self._hint())
        self.editor.setAccessibleName(words.title)
        self.editor.setFixedWidth(_EDITOR_CHARS * self.fontMetrics().averageCharWidth())
        self.fault = QLabel()
        self.fault.setObjectName("fieldFault")
        self.fault.setWordWrap(True)
        self.fault.hide()
        self.to_default = QToolButton()
        self.to_default.setText("Default")
        self.to_default.setToolTip(f"Back to the default: {words.default or 'empty'}.")
        self.to_default.clicked.connect(lambda: self.set_text(words.default))
        self._lay_out()

    @property
    def text(self) -> str:
        """What stands in the field."""
        return self.editor.currentText() if isinstance(self.editor, QComboBox) else self.editor.text()

    def set_text(self, text: str) -> None:
        """Fill the field."""
        if isinstance(self.editor, QComboBox):
            self.editor.setCurrentText(text)
        else:
            self.editor.setText(text)

    def show_fault(self, sentence: str) -> None:
        """Mark the field and say what is wrong; an empty sentence takes the mark away."""
        self.fault.setText(f"▲ {sentence}" if sentence else "")
        self.fault.setVisible(bool(sentence))
        self.editor.setProperty("fault", bool(sentence))
        style = existing(self.editor.style())
        style.unpolish(self.editor)
        style.polish(self.editor)
        self.to_default.setEnabled(self.text != self.words.default)

    def _make_editor(self) -> QLineEdit | QComboBox:
        if self.words.choices:
            box = _ChoiceBox()
            box.addItems(self.words.choices)
            box.currentTextChanged.connect(lambda _text: self.edited.emit())
            return box
        line = QLineEdit()
        line.setPlaceholderText("empty" if not self.words.default else "")
        line.textChanged.connect(lambda _text: self.edited.emit())
        return line

    def _hint(self) -> str:
        words = self.words
        limits = f"Allowed: {words.limits}." if words.limits else ""
        default = f"Default: {words.default or 'empty'}{f' {words.unit}' if words.unit else ''}."
        return "\n".join(
            part for part in (words.effect, limits, default, f"In the file: {words.name}") if part
        )

    def _lay_out(self) -> None:
        words = self.words
        title = QLabel(words.title)
        title.setBuddy(self.editor)
        title.setToolTip(self._hint())
        limits = QLabel(
            ", ".join(part for part in (f"default {words.default or 'empty'}", words.limits) if part)
        )
        effect = QLabel(words.effect)
        for quiet in (limits, effect):
            quiet.setObjectName("quiet")
            quiet.setWordWrap(True)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 2, 0, 6)
        grid.setVerticalSpacing(1)
        grid.addWidget(title, 0, 0)
        grid.addWidget(self.editor, 0, 1)
        grid.addWidget(QLabel(words.unit), 0, 2)
        grid.addWidget(self.to_default, 0, 3)
        grid.addWidget(self.fault, 1, 0, 1, 4)
        grid.addWidget(effect, 2, 0, 1, 4)
        grid.addWidget(limits, 3, 0, 1, 4)
        grid.setColumnStretch(0, 1)
        grid.setColumnMinimumWidth(2, 9 * self.fontMetrics().averageCharWidth())


class SettingsForm(QScrollArea):
    """A section in fields. ``edited`` is emitted after every change, when the fields are marked already."""

    edited = pyqtSignal()

    def __init__(self, section: SettingsSection, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._section = section
        self.fields = {words.name: SettingField(words) for words in field_words(type(section))}
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(10, 8, 10, 8)
        column.setSpacing(0)
        for field in self.fields.values():
            column.addWidget(field)
        column.addStretch(1)
        self.setWidget(inside)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.show_section(section)
        for field in self.fields.values():
            field.edited.connect(self._mark_faults)

    @property
    def section(self) -> SettingsSection:
        """What the form began with."""
        return self._section

    def show_section(self, section: SettingsSection) -> None:
        """Begin anew with these values."""
        self._section = section
        for name, text in texts_of(section).items():
            self.fields[name].set_text(text)
        self._mark_faults()

    def read(self) -> FilledIn[SettingsSection]:
        """What stands in the fields."""
        return filled_in(self._section, {name: field.text for name, field in self.fields.items()})

    def go_to(self, name: str) -> None:
        """Show a field and put the cursor into it."""
        self.ensureWidgetVisible(self.fields[name])
        self.fields[name].editor.setFocus()

    def _mark_faults(self) -> None:
        faults = self.read().faults
        for name, field in self.fields.items():
            field.show_fault(faults.get(name, ""))
        self.edited.emit()
