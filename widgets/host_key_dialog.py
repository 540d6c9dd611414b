"""First contact with a host: its fingerprint, and the question whether it is the right one."""

from __future__ import annotations

from PyQt5.QtCore import Qt, pyqtSignal
from PyQt5.QtGui import QFontDatabase
from PyQt5.QtWidgets import QCheckBox, QDialog, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget


class HostKeyDialog(QDialog):
    """Blocks nothing; ``approved`` is emitted when a person says that the fingerprint was compared and is right."""

    approved = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("First contact with the cluster")
        self.setModal(False)
        self.words = _words_label()
        self.fingerprint = _words_label()
        self.fingerprint.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        advice = _words_label()
        advice.setText(
            "Compare it with the fingerprint that the people who run this host tell you, on the phone or on a page of "
            "theirs, not with one that came the same way. Until it is approved nothing is sent there; jobs wait."
        )
        self.compared = QCheckBox("I have compared the fingerprint, and it is the same")
        self.compared.setToolTip("Only then can the host be approved.")
        self.approve = QPushButton("Approve this host")
        self.approve.setToolTip("Jobs are sent to it from now on, as long as it shows this key.")
        self.approve.setAutoDefault(False)
        self.approve.clicked.connect(self._approve)
        self.later = QPushButton("Not now")
        self.later.setToolTip("Nothing is approved. Ask again with Messages, Approve the cluster's host key.")
        self.later.setDefault(True)
        self.later.clicked.connect(self.reject)
        self.compared.toggled.connect(self.approve.setEnabled)
        buttons = QHBoxLayout()
        buttons.addWidget(self.approve)
        buttons.addStretch(1)
        buttons.addWidget(self.later)
        layout = QVBoxLayout(self)
        for part in (self.words, self.fingerprint, advice, self.compared):
            layout.addWidget(part)
        layout.addLayout(buttons)
        self.resize(560, 240)

    def ask(self, host: str, kind: str, fingerprint: str, through: str = "") -> None:
        """Ask about a host that shows a key of this kind and fingerprint, asked ``through`` another one if any."""
        way = f", asked through {through}," if through else ""
        self.words.setText(f"{host}{way} shows an {kind} key that was never approved here. Its fingerprint:")
        self.fingerprint.setText(fingerprint)
        self.compared.setChecked(False)
        self.approve.setEnabled(False)
        self.show()
        self.raise_()
        self.later.setFocus()

    def _approve(self, _checked: bool) -> None:
        self.approved.emit()
        self.accept()


def _words_label() -> QLabel:
    label = QLabel()
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label
