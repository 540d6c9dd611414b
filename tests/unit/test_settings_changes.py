"""Settings changed by name: as in the file, or refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.errors import SettingsError
from backend.settings import Settings
from backend.settings_changes import known_keys, with_changes, write_into_file


def test_values_are_those_of_the_settings_file() -> None:
    changed = with_changes(
        Settings(),
        [
            "rings.count = 12",
            "damage.structure_tolerance_percent=3",
            "mask.file=/gpfs/mask.npy",
            "watch.history=all",
            'dispatch.recipes_at_series_end=["a", "b"]',
            "geometry.override=true",
            "rings.count=14",
        ],
    )
    assert changed.rings.count == 14
    assert changed.damage.structure_tolerance_percent == 3.0
    assert changed.mask.file == Path("/gpfs/mask.npy")
    assert changed.watch.history == "all"
    assert changed.dispatch.recipes_at_series_end == ("a", "b")
    assert changed.geometry.override is True


def test_what_may_be_left_empty_is_emptied() -> None:
    settings = Settings.model_validate({"dose": {"thickness_mm": 1.5}})
    assert with_changes(settings, ["dose.thickness_mm="]).dose.thickness_mm is None


def test_a_line_of_the_file_is_taken_away_and_a_list_written(tmp_path: Path) -> None:
    path = tmp_path / "p10.toml"
    path.write_text("[dose]\nthickness_mm = 1.5 # a capillary\n# the beam\nbeam_width_um = 30.0\n")
    changes = {"thickness_mm": None, "horizontal_motors": ("samx", "hexx")}
    write_into_file(path, {"dose": changes, "damage": {}}, "by me")
    assert path.read_text() == (
        '[dose]\n# the beam\nbeam_width_um = 30.0\nhorizontal_motors = ["samx", "hexx"] # by me\n'
    )


def test_what_is_not_named_stays() -> None:
    settings = Settings.model_validate({"rings": {"count": 9}})
    assert with_changes(settings, []) == settings
    assert with_changes(settings, ["rings.sectors=6"]).rings.count == 9


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("rings.count", "'rings.count' is not KEY=VALUE"),
        ("rings.number=3", "no setting 'rings.number'. Nothing was changed. Known ones: rings.count, "),
        ("beam.size=3", "no section 'beam'. Nothing was changed. Known sections: watch, geometry, rings, "),
        ("count=3", "no section 'count'"),
        ("rings.count=1000", "rings.count=1000: Input should be less than or equal to 64"),
        ("damage.window_frames=few", "damage.window_frames=few: Input should be a valid integer"),
        ("rings.count=", "rings.count=: Input should be a valid integer"),
        ("rings.count=3\nother = 4", "rings.count=3\nother = 4"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(change: str, words: str) -> None:
    with pytest.raises(SettingsError) as refused:
        with_changes(Settings(), [change])
    assert words in str(refused.value)


def test_every_field_has_a_key() -> None:
    keys = known_keys()
    assert set(keys) == set(Settings.model_fields)
    assert "structure_tolerance_percent" in keys["damage"]
