"""Messages: one per key, counted instead of repeated, gone when solved."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import FeedbackError
from backend.frames import SourceNotice
from backend.message_board import MessageBoard


def test_the_same_trouble_is_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    board = MessageBoard()
    for at in (1.0, 2.0, 3.0):
        board.post("disk", "warning", "The disk is full.", "The watch goes on.", "Tidy up.", at=at)
    (message,) = board.messages()
    assert (message.count, message.at, message.what) == (3, 3.0, "The disk is full.")
    assert caplog.messages == ["The disk is full. The watch goes on. Tidy up."]
    assert caplog.records[0].levelno == logging.WARNING


def test_new_words_for_the_same_key_replace_the_old_and_are_unseen(caplog: pytest.LogCaptureFixture) -> None:
    board = MessageBoard()
    board.post("file", "error", "3 frames are set aside.", at=1.0)
    assert board.acknowledge("file")
    board.post("file", "error", "3 frames are set aside.", at=2.0)
    assert board.messages()[0].acknowledged
    board.post("file", "error", "4 frames are set aside.", at=3.0)
    (message,) = board.messages()
    assert (message.what, message.count, message.acknowledged) == ("4 frames are set aside.", 1, False)
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2


def test_an_empty_notice_takes_its_message_away() -> None:
    board = MessageBoard()
    board.post_notice(SourceNotice("folder", "info", "The folder is gone.", "", "Wait."), at=1.0)
    assert [message.try_this for message in board.messages()] == ["Wait."]
    board.post_notice(SourceNotice("folder", "info", ""), at=2.0)
    assert board.messages() == ()
    board.post_notice(SourceNotice("folder", "info", ""), at=3.0)
    board.solve("never posted")
    assert board.messages() == ()


def test_an_error_is_shown_with_its_three_sentences(caplog: pytest.LogCaptureFixture) -> None:
    board = MessageBoard()
    board.post_error(
        "job", FeedbackError("It failed.", still_works="All else.", try_this="Again."), at=5.0, level="error"
    )
    (message,) = board.messages()
    assert (message.level, message.what, message.still_works, message.try_this) == (
        "error",
        "It failed.",
        "All else.",
        "Again.",
    )


def test_a_message_that_is_not_there_cannot_be_acknowledged() -> None:
    assert not MessageBoard().acknowledge("nothing")


@given(st.lists(st.integers(0, 80), max_size=200))
def test_the_newest_fifty_stay_newest_first(keys: list[int]) -> None:
    board = MessageBoard()
    expected: dict[str, None] = {}
    for key in map(str, keys):
        board.post(key, "info", f"Message {key}.", at=0.0)
        expected.setdefault(key, None)
        if len(expected) > 50:
            del expected[next(iter(expected))]
    assert [message.key for message in board.messages()] == list(expected)[::-1]
