"""A file is there whole or as it was before."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.whole_file import write_whole_text


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    for text in ("first\n", "größer\n"):
        write_whole_text(file, text)
        assert file.read_text(encoding="utf-8") == text
    assert list(tmp_path.iterdir()) == [file]


def test_what_cannot_be_written_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("before")
    with pytest.raises(UnicodeEncodeError):
        write_whole_text(file, "half \ud800")
    assert file.read_text() == "before" and list(tmp_path.iterdir()) == [file]
    with pytest.raises(OSError):
        write_whole_text(tmp_path / "gone" / "settings.toml", "text")
