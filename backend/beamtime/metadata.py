"""Reads the metadata JSON that stands in the folder of every beamtime and commissioning."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from backend.beamtime.dates import parse_date
from backend.beamtime.folder import BeamtimeFolder, BeamtimeKind, find_beamtime_folder
from backend.errors import BeamtimeError

_STILL_WORKS = "Frames are watched and shown; only jobs on the cluster need this file."


@dataclass(frozen=True, slots=True)
class OnlineAnalysis:
    """Cluster nodes reserved for the beamtime. Key paths are absolute; a key is never read here."""

    reserved_nodes: tuple[str, ...]
    partition: str | None
    reservation: str | None
    user_account: str | None
    private_key: Path | None
    public_key: Path | None


@dataclass(frozen=True, slots=True)
class AsapoAccess:
    """Where the stream of the beamtime is served and which token files open it."""

    endpoint: str | None
    token_file: Path | None
    read_only_token_file: Path | None


@dataclass(frozen=True, slots=True)
class Person:
    """One person named in the metadata."""

    user_id: str | None
    user_name: str | None
    last_name: str | None
    institute: str | None
    email: str | None


@dataclass(frozen=True, slots=True)
class Beamtime:
    """A beamtime with what its metadata say; ``None`` where they say nothing. ``values`` holds the whole JSON."""

    place: BeamtimeFolder
    metadata_file: Path
    beamtime_id: str
    beamline: str | None
    title: str | None
    core_path: Path | None
    facility: str | None
    proposal_id: str | None
    proposal_type: str | None
    contact: str | None
    unix_id: str | None
    starts_at: datetime | None
    ends_at: datetime | None
    leader: Person | None
    applicant: Person | None
    principal_investigator: Person | None
    online_analysis: OnlineAnalysis | None
    asapo: AsapoAccess | None
    values: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        """The ``current`` or ``commissioning`` folder that was found."""
        return self.place.path

    @property
    def kind(self) -> BeamtimeKind:
        """Which of them it is."""
        return self.place.kind

    @property
    def raw(self) -> Path:
        """Detector data."""
        return self.place.raw

    @property
    def processed(self) -> Path:
        """Results."""
        return self.place.processed

    @property
    def shared(self) -> Path:
        """Settings, recipes, keys."""
        return self.place.shared

    @property
    def scratch(self) -> Path:
        """Throw-away files."""
        return self.place.scratch


def read_beamtime(root: Path) -> Beamtime:
    """Return the beamtime below ``root`` with its metadata.

    Raises
    ------
    BeamtimeError
        There is no beamtime folder, or its metadata file is missing, doubled, unreadable, not JSON or without an
        identifier. :func:`backend.beamtime.folder.find_beamtime_folder` still finds the folder then.
    """
    place = find_beamtime_folder(root)
    file = _metadata_file(place.path)
    values = _read_json(file)
    # Commissioning files carry "id" in place of "beamtimeId".
    beamtime_id = _text(values, "beamtimeId") or _text(values, "id")
    if beamtime_id is None:
        raise _unusable(file, "it names neither 'beamtimeId' nor 'id'")
    core_path = _text(values, "corePath")
    return Beamtime(
        place=place,
        metadata_file=file,
        beamtime_id=beamtime_id,
        beamline=_text(values, "beamline"),
        title=_text(values, "title"),
        core_path=Path(core_path) if core_path else None,
        facility=_text(values, "facility"),
        proposal_id=_text(values, "proposalId"),
        proposal_type=_text(values, "proposalType"),
        contact=_text(values, "contact"),
        unix_id=_text(values, "unixId"),
        starts_at=parse_date(_text(values, "eventStart") or ""),
        ends_at=parse_date(_text(values, "eventEnd") or ""),
        leader=_person(values, "leader"),
        applicant=_person(values, "applicant"),
        principal_investigator=_person(values, "pi"),
        online_analysis=_online_analysis(values, file.parent),
        asapo=_asapo(values, file.parent),
        values=MappingProxyType(values),
    )


def _metadata_file(folder: Path) -> Path:
    try:
        files = sorted(file for file in folder.glob("*metadata*.json") if not file.name.startswith("."))
    except OSError as error:
        raise _unusable(folder, f"the folder cannot be listed ({error.strerror or error})") from error
    if not files:
        raise BeamtimeError(
            f"There is no metadata file (beamtime-metadata-*.json) in {folder}.",
            still_works=_STILL_WORKS,
            try_this="Ask the beamline staff whether the beamtime was started with its metadata.",
        )
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise BeamtimeError(
            f"There are {len(files)} metadata files in {folder} where one is expected: {names}.",
            still_works=_STILL_WORKS,
            try_this="Ask the beamline staff which one is right and to take the others away.",
        )
    return files[0]


def _read_json(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_bytes())
    except OSError as error:
        raise _unusable(file, f"it cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise _unusable(file, f"it is not JSON ({error})") from error
    if not isinstance(values, dict):
        raise _unusable(file, "its JSON is not a set of named values")
    return values


def _unusable(path: Path, why: str) -> BeamtimeError:
    return BeamtimeError(
        f"The beamtime metadata {path} cannot be used: {why}.",
        still_works=_STILL_WORKS,
        try_this="Ask the beamline staff to have the file written again.",
    )


def _text(values: Mapping[str, Any], key: str) -> str | None:
    value = values.get(key)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    text = str(value).strip()
    # Missing entries appear as empty text or as the word None.
    return None if text in ("", "None", "null") else text


def _section(values: Mapping[str, Any], key: str) -> Mapping[str, Any] | None:
    section = values.get(key)
    return section if isinstance(section, dict) and section else None


def _path(values: Mapping[str, Any], key: str, folder: Path) -> Path | None:
    text = _text(values, key)
    # Relative to the folder of the JSON, although some are written with a leading slash.
    return None if text is None or "\x00" in text else folder / text.lstrip("/")


def _person(values: Mapping[str, Any], key: str) -> Person | None:
    section = _section(values, key)
    if section is None:
        return None
    return Person(
        user_id=_text(section, "userId"),
        user_name=_text(section, "username"),
        last_name=_text(section, "lastname"),
        institute=_text(section, "institute"),
        email=_text(section, "email"),
    )


def _online_analysis(values: Mapping[str, Any], folder: Path) -> OnlineAnalysis | None:
    section = _section(values, "onlineAnalysis")
    if section is None:
        return None
    nodes = section.get("reservedNodes")
    if isinstance(nodes, str):
        nodes = [nodes]
    return OnlineAnalysis(
        reserved_nodes=tuple(node for node in nodes if isinstance(node, str))
        if isinstance(nodes, list)
        else (),
        partition=_text(section, "slurmPartition"),
        reservation=_text(section, "slurmReservation"),
        user_account=_text(section, "userAccount"),
        private_key=_path(section, "sshPrivateKeyPath", folder),
        public_key=_path(section, "sshPublicKeyPath", folder),
    )


def _asapo(values: Mapping[str, Any], folder: Path) -> AsapoAccess | None:
    section = _section(values, "asapo")
    # Older files keep the path of the token among the entries for the cluster.
    older = _section(values, "onlineAnalysis") or {}
    token = _path(section or {}, "beamtimeTokenPath", folder) or _path(
        older, "asapoBeamtimeTokenPath", folder
    )
    if section is None and token is None:
        return None
    return AsapoAccess(
        endpoint=_text(section or {}, "endpoint"),
        token_file=token,
        read_only_token_file=_path(section or {}, "beamtimeClbtTokenPath", folder),
    )
