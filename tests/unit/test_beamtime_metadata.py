from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.beamtime.folder import find_beamtime_folder
from backend.beamtime.metadata import read_beamtime
from backend.errors import BeamtimeError

USER_BEAMTIME = {
    "applicant": {"email": "a@b.c", "institute": "I", "lastname": "L", "userId": 17, "username": "al"},
    "leader": None,
    "beamline": "p10",
    "beamtimeId": "11001234",
    "contact": "someone",
    "corePath": "/asap3/petra3/gpfs/p10/2022/data/11001234",
    "eventStart": "2020-01-20T01:05:00Z",
    "eventEnd": "2022-04-04 09:00:00",
    "proposalId": "20200001",
    "proposalType": "I",
    "title": "Gels",
    "unixId": "None",
    "somethingNew": {"x": [1, 2]},
    "onlineAnalysis": {
        "reservedNodes": ["max-a001", "max-a002"],
        "slurmPartition": "ponline",
        "slurmReservation": "11001234",
        "sshPrivateKeyPath": "/shared/id_rsa",
        "sshPublicKeyPath": "shared/id_rsa.pub",
        "userAccount": "bttest01",
    },
    "asapo": {
        "endpoint": "host:8400",
        "beamtimeTokenPath": "shared/token",
        "beamtimeClbtTokenPath": "shared/ro",
    },
}


def beamtime_folder(
    root: Path, name: str = "current", content: object = None, file: str | None = None
) -> Path:
    folder = root / name
    (folder / "raw").mkdir(parents=True)
    if content is not None:
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / (file or "beamtime-metadata-11001234.json")).write_text(text)
    return folder


def test_a_user_beamtime(tmp_path: Path) -> None:
    folder = beamtime_folder(tmp_path, content=USER_BEAMTIME)
    beamtime = read_beamtime(tmp_path)
    assert (beamtime.beamtime_id, beamtime.beamline, beamtime.title, beamtime.kind) == (
        "11001234",
        "p10",
        "Gels",
        "current",
    )
    assert beamtime.core_path == Path("/asap3/petra3/gpfs/p10/2022/data/11001234")
    assert (beamtime.folder, beamtime.raw, beamtime.scratch) == (
        folder,
        folder / "raw",
        folder / "scratch_bl",
    )
    assert beamtime.starts_at == datetime(2020, 1, 20, 1, 5, tzinfo=UTC)
    assert beamtime.ends_at == datetime(2022, 4, 4, 9)
    assert beamtime.unix_id is None and beamtime.leader is None
    assert beamtime.applicant is not None and beamtime.applicant.user_id == "17"
    assert beamtime.values["somethingNew"] == {"x": [1, 2]}
    online = beamtime.online_analysis
    assert online is not None and online.reserved_nodes == ("max-a001", "max-a002")
    assert (online.partition, online.reservation, online.user_account) == ("ponline", "11001234", "bttest01")
    assert (online.private_key, online.public_key) == (folder / "shared/id_rsa", folder / "shared/id_rsa.pub")
    assert beamtime.asapo is not None and beamtime.asapo.token_file == folder / "shared/token"


def test_a_commissioning_carries_id_and_may_lack_the_rest(tmp_path: Path) -> None:
    beamtime_folder(
        tmp_path,
        "commissioning",
        {"id": "tag42", "onlineAnalysis": None},
        "commissioning-metadata-tag42.json",
    )
    beamtime = read_beamtime(tmp_path)
    assert (beamtime.beamtime_id, beamtime.kind) == ("tag42", "commissioning")
    assert beamtime.online_analysis is None and beamtime.asapo is None and beamtime.core_path is None


def test_older_files_keep_the_token_with_the_cluster(tmp_path: Path) -> None:
    folder = beamtime_folder(
        tmp_path,
        content={"beamtimeId": 1, "onlineAnalysis": {"asapoBeamtimeTokenPath": "/shared/asapo_token"}},
    )
    beamtime = read_beamtime(tmp_path)
    assert beamtime.asapo is not None and beamtime.asapo.token_file == folder / "shared/asapo_token"


def test_current_comes_before_commissioning_and_the_folder_itself_will_do(tmp_path: Path) -> None:
    beamtime_folder(tmp_path, "commissioning")
    assert find_beamtime_folder(tmp_path).kind == "commissioning"
    current = beamtime_folder(tmp_path, "current")
    assert find_beamtime_folder(tmp_path).path == current
    assert find_beamtime_folder(current).kind == "current"
    assert find_beamtime_folder(tmp_path / "commissioning").kind == "commissioning"
    core = beamtime_folder(tmp_path, "gpfs/p10/2022/data/11001234")
    (core / "scratch_cc").mkdir()
    assert find_beamtime_folder(core).kind == "current"
    assert find_beamtime_folder(core).scratch == core / "scratch_cc"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no metadata file"),
        ("", "not JSON"),
        ("{half", "not JSON"),
        ("[1, 2]", "not a set of named values"),
        ("\xff\xfe", "not JSON"),
        ("[" * 100000, "not JSON"),
        ({"title": "x", "beamtimeId": None}, "neither"),
    ],
)
def test_unusable_metadata_are_said_in_words_and_the_folder_is_still_found(
    tmp_path: Path, content: object, words: str
) -> None:
    folder = beamtime_folder(tmp_path, content=content)
    with pytest.raises(BeamtimeError, match=words) as caught:
        read_beamtime(tmp_path)
    assert caught.value.still_works and caught.value.try_this
    assert find_beamtime_folder(tmp_path).raw == folder / "raw"


def test_two_metadata_files_are_both_named(tmp_path: Path) -> None:
    folder = beamtime_folder(tmp_path, content={"beamtimeId": "1"})
    (folder / "commissioning-metadata-2.json").write_text("{}")
    with pytest.raises(BeamtimeError, match="2 metadata files") as caught:
        read_beamtime(tmp_path)
    assert "beamtime-metadata-11001234.json" in caught.value.what
    assert "commissioning-metadata-2.json" in caught.value.what


def test_no_beamtime_at_all(tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(tmp_path / "unlinked")
    with pytest.raises(BeamtimeError, match="no beamtime"):
        read_beamtime(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(BeamtimeError, match="cannot be looked at"):
        find_beamtime_folder(tmp_path / "loop")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
known_keys = st.sampled_from(
    [*USER_BEAMTIME, "id", "pi", "reservedNodes", "sshPrivateKeyPath", "endpoint", "userId"]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.dictionaries(
        known_keys, json_values | st.dictionaries(known_keys, json_values, max_size=4), max_size=8
    )
)
def test_any_json_is_read_or_refused(tmp_path: Path, content: dict[str, object]) -> None:
    folder = tmp_path / "current"
    folder.mkdir(exist_ok=True)
    (folder / "beamtime-metadata-1.json").write_text(json.dumps(content))
    try:
        beamtime = read_beamtime(tmp_path)
    except BeamtimeError as error:
        assert error.what
    else:
        assert beamtime.beamtime_id
        online = beamtime.online_analysis
        assert online is None or online.private_key is None or online.private_key.is_relative_to(folder)
