"""The beamtime here: its folder, its metadata, room on the disk, and whether results can be written."""

from __future__ import annotations

import os
import shutil
import stat
from datetime import datetime
from pathlib import Path

from backend.beamtime.folder import find_beamtime_folder
from backend.beamtime.metadata import Beamtime, read_beamtime
from backend.cluster_plan import plan_cluster
from backend.dispatch.cluster_executor import ClusterExecutor
from backend.dispatch.folders import make_folder
from backend.dispatch.job import claim_with, open_for_group
from backend.dispatch.recipe_folder import load_recipes
from backend.doctor.examination import Check, Examination
from backend.doctor.finding import Finding, fault, good, note
from backend.errors import BeamtimeError

LEAST_BYTES = 1e9
"""Below this a single result may not find room."""
COMFORTABLE_BYTES = 50e9


def _folder(seen: Examination) -> Finding:
    seen.folder = find_beamtime_folder(seen.root)
    place = seen.folder
    lacking = [part.name for part in (place.raw, place.processed, place.shared) if not part.is_dir()]
    if lacking:
        return fault(
            f"{place.path} lacks {', '.join(lacking)}.",
            "Detector data are read in raw, results go to processed, recipes stand in shared.",
            "Ask the beamline staff whether the beamtime was started in full.",
        )
    return good(f"{place.path}, with raw, processed and shared.")


def _metadata(seen: Examination) -> Finding:
    try:
        beamtime = seen.beamtime = read_beamtime(seen.folder.path)
    except BeamtimeError as problem:
        return note(
            problem.what, "Of the cluster only that is known which stands in the settings.", problem.try_this
        )
    words = f"{beamtime.metadata_file.name}: beamtime {beamtime.beamtime_id} at {beamtime.beamline or 'no beamline'}"
    if (over := _over_since(beamtime)) is not None:
        return note(
            f"{words}; it ended on {over:%Y-%m-%d %H:%M}.",
            "Its account and its nodes may be gone.",
            "If the beamtime goes on, ask the beamline staff to have the dates corrected.",
        )
    reserved = beamtime.online_analysis
    if reserved is None:
        return note(
            f"{words}; it says nothing of online analysis.",
            "No nodes were reserved with the beamtime; what is needed must stand in the settings.",
            "Ask the beamline staff to start the beamtime with online analysis.",
        )
    nodes = ", ".join(reserved.reserved_nodes) or "no nodes"
    return good(f"{words}; online analysis on {nodes} as {reserved.user_account or 'no account'}.")


def _over_since(beamtime: Beamtime) -> datetime | None:
    end = beamtime.ends_at
    return end if end is not None and end < datetime.now(end.tzinfo) else None


def _disk(seen: Examination) -> Finding:
    try:
        usage = shutil.disk_usage(seen.folder.processed)
    except OSError as error:
        raise BeamtimeError(
            f"The free space of {seen.folder.processed} cannot be told: {error.strerror or error}.",
            still_works="Live pictures go on.",
            try_this="Check that the file system is mounted.",
        ) from error
    return room_finding(usage.free, usage.total, "Results and job logs")


def room_finding(free_bytes: float, total_bytes: float, what: str) -> Finding:
    """Whether there is room on a file system; ``what`` is written there."""
    words = f"{_size(free_bytes)} of {_size(total_bytes)} are free"
    if free_bytes < LEAST_BYTES:
        return fault(f"{words}.", f"{what} will not find room.", "Free space, or ask for a larger quota.")
    if free_bytes < COMFORTABLE_BYTES:
        return note(f"{words}.", f"{what} fit, but not for long.", "Free space before the beamtime.")
    return good(f"{words}.")


def _size(number: float) -> str:
    return f"{number / 1e12:.1f} TB" if number >= 1e12 else f"{number / 1e9:.1f} GB"


def _write_here(seen: Examination) -> Finding:
    folder = seen.name_work_folder()
    try:
        make_folder(folder)
        _claim_twice(folder)
        with open(folder / "part", "wb", opener=open_for_group) as file:
            file.write(b"written here")
            os.fsync(file.fileno())
        os.replace(folder / "part", folder / "whole")
        open_to_all = folder.stat().st_mode & stat.S_IWOTH
    except OSError as error:
        return fault(
            f"{seen.folder.processed} cannot be written: {error.strerror or error}.",
            "No verdict, job or result can be stored.",
            "Check owner and mode of the folder, and that the file system is not full.",
        )
    if open_to_all:
        return fault(
            f"Folders made in {seen.folder.processed} may be written by everybody.",
            "Anybody could change results.",
            "Check the access control lists of the folder.",
        )
    return good(f"Files in {seen.folder.processed} can be written, claimed once and renamed.")


def _claim_twice(folder: Path) -> None:
    if not claim_with(folder / "claim", {}) or claim_with(folder / "claim", {}):
        raise OSError("a file that exists was made a second time")


def _recipes(seen: Examination) -> Finding:
    recipes, problems = load_recipes([seen.folder.shared / "recipes"])
    if problems:
        return note(
            " ".join(problem.what for problem in problems),
            "Jobs of these recipes do not run; the others do.",
            problems[0].try_this,
        )
    at_series_end = seen.settings.dispatch.recipes_at_series_end
    if unknown := [name for name in at_series_end if name not in recipes]:
        return note(
            f"There is no recipe {', '.join(unknown)}, which the settings want to run when a series ends.",
            "Nothing of that name will run.",
            "Correct recipes_at_series_end in section [dispatch] of the settings, or add the recipe file.",
        )
    there = [name for name in at_series_end if recipes[name].executor == ClusterExecutor.name]
    if not there:
        return note(
            f"When a series ends, {', '.join(at_series_end) or 'no recipe'} runs, on this computer.",
            "Nothing is sent to the cluster by itself.",
            'If that is wanted: a recipe file with executor = "slurm" in shared/recipes.',
        )
    return good(f"When a series ends, {', '.join(there)} runs on the cluster.")


def _cluster_settings(seen: Examination) -> Finding:
    plan = seen.plan = plan_cluster(seen.folder, seen.settings.cluster)
    there = f"the nodes call {plan.paths.here} {plan.paths.there}"
    if plan.rest is not None:
        return good(f"Slurm's REST interface at {plan.rest.url} as {plan.rest.user}; {there}.")
    if plan.address is None:
        return good(f"Slurm on this computer; {there}.")
    way = "" if plan.address.jump is None else f" through {plan.address.jump.place}"
    return good(f"Slurm at {plan.address.place}{way}; {there}.")


BEAMTIME_CHECKS = (
    Check("beamtime folder", (), _folder),
    Check("metadata", ("beamtime folder",), _metadata),
    Check("disk", ("beamtime folder",), _disk),
    Check("writing", ("beamtime folder",), _write_here),
    Check("recipes", ("beamtime folder",), _recipes),
    Check("cluster settings", ("beamtime folder",), _cluster_settings),
)
