"""A section of the settings as a form: words beside each field, texts in, values or a sentence out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.dose_settings import DoseSettings
from backend.settings import DamageSettings, GeometrySettings, Settings
from backend.settings_form import changes_between, field_words, filled_in, texts_of
from backend.settings_section import SettingsSection

SECTIONS = tuple(Settings.model_fields)


def _words(section: type[SettingsSection], name: str):
    return next(words for words in field_words(section) if words.name == name)


def test_what_stands_beside_a_field() -> None:
    words = _words(DamageSettings, "structure_tolerance_percent")
    assert (words.title, words.unit, words.default) == ("Structure tolerance", "%", "5")
    assert words.limits == "more than 0, at most 1000 %"
    assert words.effect == "Change of the low-q to high-q ratio that counts as damage."
    assert _words(DoseSettings, "material").choices[:2] == ("water", "silica")
    assert _words(DoseSettings, "thickness_mm").default == ""
    assert _words(DoseSettings, "horizontal_motors").default == "samx"
    assert _words(GeometrySettings, "override").choices == ("yes", "no")


def test_false_alarms_are_asked_for_in_words() -> None:
    words = _words(DamageSettings, "false_alarms_per_100_h")
    assert (words.title, words.unit, words.default) == ("False alarms", "", "1 in 100 h")
    assert words.limits == "at most 1 in 0.1 h"
    before = DamageSettings()
    for text, rate in (("1 in 250 h", 0.4), ("2 in 100", 2.0), (" 1 IN 1000 hours", 0.1)):
        read = filled_in(before, texts_of(before) | {"false_alarms_per_100_h": text})
        assert read.section is not None and read.faults == {}
        assert read.section.false_alarms_per_100_h == pytest.approx(rate)
        assert set(changes_between(before, read.section)) == {"false_alarms_per_100_h"}


@pytest.mark.parametrize("section", SECTIONS)
def test_a_form_that_nobody_touched_changes_nothing(section: str) -> None:
    before = getattr(Settings(), section)
    read = filled_in(before, texts_of(before))
    assert (read.section, read.faults) == (before, {})
    assert changes_between(before, read.section) == {}
    defaults = {words.name: words.default for words in field_words(type(before))}
    assert filled_in(before, defaults).section == before


@given(st.floats(1e-6, 1000.0))
def test_a_value_keeps_its_last_digit_while_its_text_stays(rate: float) -> None:
    before = DamageSettings(false_alarms_per_100_h=rate, systematic_rms_percent=rate / 1000)
    assert filled_in(before, texts_of(before)).section == before


@given(st.text(max_size=12), st.sampled_from(list(DamageSettings.model_fields)))
def test_any_text_is_either_a_value_in_range_or_a_fault_of_its_field(text: str, name: str) -> None:
    before = DamageSettings()
    read = filled_in(before, texts_of(before) | {name: text})
    assert (read.section is None) == bool(read.faults)
    if read.section is None:
        assert set(read.faults) == {name}
        assert read.faults[name].endswith(".")
    else:
        assert set(changes_between(before, read.section)) <= {name}


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("structure_tolerance_percent", "-3", "-3 is outside the range: more than 0, at most 1000 %."),
        ("structure_tolerance_percent", "five", "'five' is no number."),
        ("structure_tolerance_percent", "", "It cannot be left empty; the default is 5."),
        ("window_frames", "2.5", "'2.5' is no whole number."),
        ("false_alarms_per_100_h", "rarely", "'rarely' is no such rate. Write for instance: 1 in 100 h."),
        ("false_alarms_per_100_h", "0 in 100 h", "'0 in 100 h' is no such rate. Write for instance: 1 in 100 h."),
        ("false_alarms_per_100_h", "9 in 0.5 h", "9 in 0.5 h is outside the range: at most 1 in 0.1 h."),
    ],
)  # fmt: skip
def test_a_bad_value_is_a_sentence_at_its_field(name: str, text: str, sentence: str) -> None:
    before = DamageSettings()
    read = filled_in(before, texts_of(before) | {name: text})
    assert (read.section, read.faults) == (None, {name: sentence})


def test_two_bad_values_are_both_told() -> None:
    before = DamageSettings()
    texts = texts_of(before) | {"window_frames": "0", "systematic_time_s": "long"}
    assert set(filled_in(before, texts).faults) == {"window_frames", "systematic_time_s"}


def test_what_may_be_empty_is_emptied() -> None:
    before = DoseSettings(thickness_mm=1.5, horizontal_motors=("samx", "samy"))
    read = filled_in(before, texts_of(before) | {"thickness_mm": " ", "horizontal_motors": "hexx ,samx"})
    assert read.section is not None
    assert (read.section.thickness_mm, read.section.horizontal_motors) == (None, ("hexx", "samx"))
