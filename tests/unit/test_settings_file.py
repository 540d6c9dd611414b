"""Settings: what is written is read back, what cannot be is named, and every value counts in the hash."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin

import pytest
import tomlkit
from annotated_types import Ge, Gt, Le, Lt
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydantic.fields import FieldInfo

from backend.errors import SettingsError
from backend.settings import Settings, load_settings, settings_to_toml

IN_ONE_FILE = examples(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def _fields() -> dict[tuple[str, str], FieldInfo]:
    """Every setting with its section."""
    return {
        (section, name): info
        for section in Settings.model_fields
        for name, info in type(getattr(Settings(), section)).model_fields.items()
    }


def _limits(info: FieldInfo) -> tuple[float, float]:
    low = [
        limit.ge if isinstance(limit, Ge) else limit.gt
        for limit in info.metadata
        if isinstance(limit, (Ge, Gt))
    ]
    high = [
        limit.le if isinstance(limit, Le) else limit.lt
        for limit in info.metadata
        if isinstance(limit, (Le, Lt))
    ]
    return float(str(low[0])), float(str(high[0]))


def _is_number(info: FieldInfo) -> bool:
    return bool({int, float} & {info.annotation, *get_args(info.annotation)})


def _kind(info: FieldInfo) -> Any:
    if not isinstance(info.annotation, UnionType):
        return info.annotation
    return next(kind for kind in get_args(info.annotation) if kind is not type(None))


def _good_value(info: FieldInfo) -> st.SearchStrategy[Any]:
    if info.annotation is bool:
        return st.booleans()
    if get_origin(info.annotation) is Literal:
        return st.sampled_from(get_args(info.annotation))
    if _is_number(info):
        low, high = _limits(info)
        if int in (info.annotation, *get_args(info.annotation)):
            return st.integers(math.ceil(low), math.floor(high))
        exclusive = any(isinstance(limit, Gt) for limit in info.metadata)
        return st.floats(low, high, exclude_min=exclusive)
    if Path in (info.annotation, *get_args(info.annotation)):
        return st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1).map(Path)
    if any(hasattr(limit, "pattern") for limit in info.metadata):
        # The only text with a form of its own is a chemical formula.
        return st.lists(st.sampled_from(["H", "Si", "O2", "Ca5", "(PO4)3"]), min_size=1).map("".join)
    if _kind(info) is str:
        return st.text(min_size=1, max_size=12)
    return st.lists(st.text(max_size=5), max_size=3).map(tuple)


NUMBERS = {place: info for place, info in _fields().items() if _is_number(info)}


@st.composite
def _any_settings(draw: st.DrawFn) -> Settings:
    chosen = draw(st.lists(st.sampled_from(sorted(_fields())), unique=True, max_size=12))
    document: dict[str, dict[str, Any]] = {}
    for section, name in chosen:
        document.setdefault(section, {})[name] = draw(_good_value(_fields()[section, name]))
    return Settings.model_validate(document)


def _write(path: Path, section: str, name: str, value: object) -> Path:
    path.write_text(tomlkit.dumps({section: {name: value}}), encoding="utf-8")
    return path


def test_every_number_has_limits_and_every_setting_a_sentence() -> None:
    for place, info in _fields().items():
        assert info.description and info.description.endswith("."), place
        assert isinstance(info.json_schema_extra, dict) and "unit" in info.json_schema_extra, place
        if _is_number(info):
            low, high = _limits(info)
            assert low < high, place


@IN_ONE_FILE
@given(_any_settings())
def test_what_is_written_is_read_back(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(settings_to_toml(settings), encoding="utf-8")
    assert load_settings(path) == settings
    assert load_settings(path).sha256 == settings.sha256


def test_the_written_file_explains_every_setting() -> None:
    text = settings_to_toml(Settings())
    for (_, name), info in _fields().items():
        assert f"{name} =" in text
        assert info.description is not None and info.description in text
    assert set(tomllib.loads(text)) == set(Settings.model_fields)


def test_no_file_and_an_empty_file_mean_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "empty.toml"
    path.write_text("")
    assert load_settings(None) == load_settings(path) == Settings()


@IN_ONE_FILE
@given(st.sampled_from(sorted(NUMBERS)), st.booleans(), st.floats(1.0, 1e6))
def test_out_of_range_is_named_with_its_limit(
    tmp_path: Path, place: tuple[str, str], above: bool, distance: float
) -> None:
    low, high = _limits(NUMBERS[place])
    value: float = high + distance if above else low - distance
    if _kind(NUMBERS[place]) is int:
        value = math.ceil(value) if above else math.floor(value)
    path = _write(tmp_path / "settings.toml", *place, value)
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    assert ".".join(place) in caught.value.what
    assert ("less than" if above else "greater than") in caught.value.what
    assert str(path) in caught.value.what
    assert caught.value.still_works and caught.value.try_this


@IN_ONE_FILE
@given(st.sampled_from(sorted(_fields())), st.sampled_from([{"a": 1}, "many", [1.5], float("nan")]))
def test_a_value_of_the_wrong_kind_is_named(tmp_path: Path, place: tuple[str, str], value: object) -> None:
    if _kind(_fields()[place]) in (Path, str) and isinstance(value, str):
        return
    with pytest.raises(SettingsError, match=rf"{place[0]}\.{place[1]}"):
        load_settings(_write(tmp_path / "settings.toml", *place, value))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[damage]\nwindow_frame = 10\n", "damage.window_frame"),
        ("[damges]\n", "damges"),
        ("window_frames = 10\n", "window_frames"),
        ("damage = 3\n", "damage"),
        ("[damage\n", "not valid TOML.*line 1"),
        ("[watch]\nsettle_s = 1\nsettle_s = 2\n", "not valid TOML"),
    ],
)
def test_unknown_keys_and_bad_toml_are_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=words):
        load_settings(path)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("[damage]\nwindow_frames = 0\nalpha = 2\n[rings]\ncount = 1\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    for place in ("damage.window_frames", "damage.alpha", "rings.count"):
        assert place in caught.value.what


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    latin = tmp_path / "latin.toml"
    latin.write_bytes("# Länge\n".encode("latin-1"))
    for path, words in (
        (tmp_path / "gone.toml", "No such file"),
        (tmp_path, "directory"),
        (latin, "not valid TOML"),
    ):
        with pytest.raises(SettingsError, match=words):
            load_settings(path)


@IN_ONE_FILE
@given(st.data())
def test_any_changed_value_changes_the_hash(data: st.DataObject) -> None:
    (section, name), info = data.draw(st.sampled_from(sorted(_fields().items(), key=lambda item: item[0])))
    default = getattr(getattr(Settings(), section), name)
    value = data.draw(_good_value(info).filter(lambda value: value != default))
    assert Settings.model_validate({section: {name: value}}).sha256 != Settings().sha256


def test_the_hash_is_the_same_in_every_process() -> None:
    assert Settings().sha256 == Settings.model_validate({"watch": {}}).sha256
    assert len(Settings().sha256) == 64


def test_settings_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().damage.window_frames = 3
