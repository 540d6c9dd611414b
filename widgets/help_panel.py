"""Help pages: five lines on how to read a panel, and the list of keys."""

from __future__ import annotations

from importlib.resources import files

from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import QDialog, QPushButton, QTextBrowser, QVBoxLayout, QWidget


class HelpPanel(QDialog):
    """A small window that stays beside the work; it blocks nothing."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Help")
        self.setModal(False)
        self.text = QTextBrowser()
        self.text.setToolTip("How to read this part of the window.")
        self.text.setFrameShape(QTextBrowser.NoFrame)
        close = QPushButton("Close")
        close.setToolTip("Close this page (Esc).")
        close.clicked.connect(self.hide)
        layout = QVBoxLayout(self)
        layout.addWidget(self.text, 1)
        layout.addWidget(close, 0, Qt.AlignmentFlag.AlignRight)
        self.resize(460, 380)

    def show_page(self, name: str) -> None:
        """Show the page ``name`` of the help folder."""
        self.text.setMarkdown(help_page(name))
        self.show()
        self.raise_()


def help_page(name: str) -> str:
    """Text of a help page in Markdown; the overview for a panel without a page of its own."""
    page = files("resources") / "help" / f"{name}.md"
    if not name or not page.is_file():
        page = files("resources") / "help" / "overview.md"
    return page.read_text(encoding="utf-8")
