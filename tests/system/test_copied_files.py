"""Jobs on a cluster that cannot see the beamtime folder: copies over a real SSH server, cut in the middle too."""

from __future__ import annotations

import os
import random
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import h5py
import pytest
from cluster_backend import ClusterBackend, python_recipe, series_in
from slurm_over_ssh import SlurmOverSsh, running_cluster

from backend.beamtime.folder import BeamtimeFolder
from backend.cluster_access import open_cluster
from backend.dispatch.recipe import Recipe
from backend.output_view import read_output_view
from backend.settings import load_settings
from backend.simulation.beamtime_tree import write_beamtime_skeleton
from backend.snapshot import JobRow

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

SUM_AND_WRITE = """
import hashlib, os, pathlib, sys, h5py, numpy
master = pathlib.Path(sys.argv[1])
sums = [hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(master.parent.iterdir())
        if not file.name.startswith(".part-")]
with h5py.File(sys.argv[2], "w") as file:
    file["/xpcs/multitau/normalized_g2"] = numpy.ones((3, 2))
    file["/xpcs/multitau/delay_list"] = numpy.arange(3)
    file["/xpcs/qmap/dynamic_roi_map"] = numpy.ones((4, 5), dtype="i4")
    file["noise"] = numpy.frombuffer(os.urandom(int(sys.argv[3])), dtype="u1")
    file.attrs["sums"] = sums
print("summed up")
"""
DATA_BYTES = 24_000_000
FOREIGN = """
echo "file,bytes" > sizes.csv
for file in {folder}/*.h5; do
    echo "$((count += 1)),$(stat -c %s "$file")" >> sizes.csv
done
echo iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg== \\
    | base64 -d > dot.png
ls {master} > read.txt
touch nobody-wants-this
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[SlurmOverSsh]:
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture
def start(tmp_path: Path, cluster: SlurmOverSsh) -> Iterator[Callable[..., ClusterBackend]]:
    lives: list[ClusterBackend] = []
    current = write_beamtime_skeleton(tmp_path)
    detector = current / "raw" / "silica_00001" / "e4m"
    detector.mkdir(parents=True)
    (detector / "silica_00001_master.h5").write_bytes(b"master")
    (detector / "silica_00001_data_000001.h5").write_bytes(random.Random(1).randbytes(DATA_BYTES))

    def begin(
        rate_mb_per_s: float = 1000.0, result_bytes: int = 1000, recipe: Recipe | None = None
    ) -> ClusterBackend:
        settings = tmp_path / "settings.toml"
        settings.write_text(
            f'[cluster]\nhost = "127.0.0.1"\nport = {cluster.port}\nuser = "{cluster.user}"\n'
            f'key_file = "{cluster.key_file}"\nknown_hosts = "{cluster.known_hosts}"\npartition = "short"\n'
            f'python = "{sys.executable}"\nfiles = "copy"\nbeamtime_folder = "{_there(current)}"\npoll_s = 0.5\n'
            f"copy_rate_mb_per_s = {rate_mb_per_s}\nunseen_s = 5\n"
        )
        executor = open_cluster(
            BeamtimeFolder(current, "current"), load_settings(settings), current / "processed"
        )
        ours = python_recipe(SUM_AND_WRITE, "{master}", "{result}", str(result_bytes))
        lives.append(ClusterBackend(current, executor, recipe or ours))
        return lives[-1]

    yield begin
    for life in lives:
        life.end()


def _there(beamtime: Path) -> Path:
    """The copy of the beamtime folder on the disk of the cluster."""
    return beamtime.parent / "cluster-disk" / "mento-gui"


def _is_done(row: JobRow) -> bool:
    return row.state == "done"


def _check_result(backend: ClusterBackend) -> None:
    """One good result here, made from the very data that are here."""
    import hashlib

    (row,) = backend.dispatcher.job_rows()
    assert backend.dispatcher.result_of(row.job_id).is_good
    result = Path(row.result_path)
    assert result.is_relative_to(backend.beamtime) and not stat.S_IMODE(result.stat().st_mode) & stat.S_IWOTH
    detector = backend.beamtime / "raw" / "silica_00001" / "e4m"
    sums = [hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(detector.iterdir())]
    with h5py.File(result, "r") as file:
        assert list(file.attrs["sums"]) == sums
    assert not list(result.parent.glob(".part-*"))


def _cut_all(cluster: SlurmOverSsh) -> None:
    """Kill the server's processes of all open connections; it takes new ones."""
    server = int((cluster.folder / "pids" / "sshd.pid").read_text())
    for child in Path(f"/proc/{server}/task/{server}/children").read_text().split():
        os.kill(int(child), signal.SIGKILL)


def test_data_go_there_and_the_result_comes_back(start: Callable[..., ClusterBackend]) -> None:
    backend = start()
    backend.series_ended()
    backend.poll_until(_is_done, "done")
    _check_result(backend)
    assert backend.row.last_line == "The result is complete."
    copy = _there(backend.beamtime) / "raw" / "silica_00001" / "e4m" / "silica_00001_data_000001.h5"
    assert stat.S_IMODE(copy.stat().st_mode) & 0o007 == 0
    # A second job on the same data sends nothing again.
    before = copy.stat().st_mtime_ns
    backend.dispatcher.run(series_in(backend.beamtime), "xpcs")
    backend.poll_until(_is_done, "done")
    assert copy.stat().st_mtime_ns == before


def test_files_of_a_foreign_program_come_back_checked(start: Callable[..., ClusterBackend]) -> None:
    outputs = [
        {
            "file": "sizes.csv",
            "kind": "csv",
            "x": "file",
            "y": ["bytes"],
            "finite": True,
            "shape": {"bytes": [2]},
        },
        {"file": "*.png", "kind": "png"},
        {"file": "read.txt", "kind": "text"},
    ]
    document = {
        "name": "sizes", "title": "t", "description": "d", "script": FOREIGN, "executor": "slurm", "outputs": outputs,
        "text_sha256": "8" * 64,
    }  # fmt: skip
    backend = start(recipe=Recipe.model_validate(document))
    row = backend.series_ended()
    done = backend.poll_until(_is_done, "done")
    assert backend.dispatcher.result_of(row.job_id).is_good
    assert "1 further files stay" in backend.row.last_line
    names = ["silica_00001_sizes_sizes.csv", "silica_00001_sizes_dot.png", "silica_00001_sizes_read.txt"]
    assert [Path(output.path).name for output in done.outputs] == names
    assert all(Path(output.path).is_relative_to(backend.beamtime / "processed") for output in done.outputs)
    sizes, dot, read = (read_output_view(output) for output in done.outputs)
    assert sizes.curves[0].y.tolist() == [DATA_BYTES, len(b"master")]
    assert dot.picture.startswith(b"\x89PNG")
    # It read the copy.
    assert read.text.startswith(str(_there(backend.beamtime) / "raw"))
    assert not list(backend.beamtime.rglob("nobody-wants-this"))
    # One that is changed here afterwards is no longer shown.
    Path(done.outputs[0].path).write_text("file,bytes\n1,1\n2,2\n")
    assert not backend.dispatcher.result_of(row.job_id).is_good


def test_a_recipe_of_several_tasks_comes_back_whole(start: Callable[..., ClusterBackend]) -> None:
    document = {
        "name": "parts", "title": "t", "description": "d", "executor": "slurm", "text_sha256": "9" * 64,
        "script": "echo n > part.csv; echo {task} >> part.csv", "resources": {"array": 3},
        "outputs": [{"file": "part.csv", "kind": "csv"}],
    }  # fmt: skip
    backend = start(recipe=Recipe.model_validate(document))
    row = backend.series_ended()
    done = backend.poll_until(_is_done, "done")
    assert backend.dispatcher.result_of(row.job_id).is_good
    assert [Path(output.path).read_text() for output in done.outputs] == ["n\n0\n", "n\n1\n", "n\n2\n"]


def test_a_cut_in_the_middle_of_the_upload_goes_on_from_there(
    start: Callable[..., ClusterBackend], cluster: SlurmOverSsh
) -> None:
    backend = start(rate_mb_per_s=4.0)
    backend.series_ended()
    part = _there(backend.beamtime) / "raw" / "silica_00001" / "e4m" / ".part-silica_00001_data_000001.h5"
    backend.poll_until(lambda _: part.exists() and part.stat().st_size > DATA_BYTES / 3, "a third is there")
    assert backend.row.state == "queued" and "Copying to the cluster: 0.0" in backend.row.reason
    _cut_all(cluster)
    at_the_cut = part.stat().st_size
    backend.poll_until(lambda _: part.exists() and part.stat().st_size > at_the_cut, "it goes on")
    assert part.stat().st_size < DATA_BYTES, "it was sent anew in one piece"
    backend.poll_until(_is_done, "done", within_s=90.0)
    _check_result(backend)


def test_the_next_backend_goes_on_and_what_arrived_wrong_is_sent_again(
    start: Callable[..., ClusterBackend],
) -> None:
    first = start(rate_mb_per_s=4.0)
    first.series_ended()
    part = _there(first.beamtime) / "raw" / "silica_00001" / "e4m" / ".part-silica_00001_data_000001.h5"
    first.poll_until(lambda _: part.exists() and part.stat().st_size > DATA_BYTES / 3, "a third is there")
    first.end()
    # A page of it was lost by the disk there.
    with part.open("r+b") as file:
        file.seek(100_000)
        file.write(bytes(4096))
    second = start(rate_mb_per_s=50.0)
    second.poll_until(lambda row: "did not arrive as it is here" in row.reason, "the checksum differs")
    second.poll_until(_is_done, "done")
    _check_result(second)


def test_a_cut_in_the_middle_of_the_result(
    start: Callable[..., ClusterBackend], cluster: SlurmOverSsh
) -> None:
    backend = start(rate_mb_per_s=4.0, result_bytes=16_000_000)
    backend.series_ended()

    def fetching(_: JobRow) -> bool:
        return any(part.stat().st_size > 4_000_000 for part in backend.beamtime.rglob(".part-*_results.h5"))

    backend.poll_until(fetching, "a part of the result is here", within_s=90.0)
    assert not list(backend.beamtime.rglob("done.json")) and not list(
        backend.beamtime.rglob("silica_*_results.h5")
    )
    _cut_all(cluster)
    backend.poll_until(_is_done, "done", within_s=90.0)
    _check_result(backend)


def test_a_result_that_is_wrong_there_is_never_called_good(start: Callable[..., ClusterBackend]) -> None:
    # It takes eight seconds to fetch: long enough to spoil it.
    backend = start(rate_mb_per_s=2.0, result_bytes=16_000_000)
    backend.series_ended()
    backend.poll_until(
        lambda _: bool(list(_there(backend.beamtime).rglob("done.json"))), "the job has ended there"
    )
    (result,) = _there(backend.beamtime).rglob("*_results.h5")
    os.truncate(result, 1_000_000)
    row = backend.poll_until(lambda row: row.state in ("failed", "done"), "ended")
    assert row.state == "failed" and "1000000 bytes, the job wrote" in row.reason


def test_a_series_that_is_gone_is_told(start: Callable[..., ClusterBackend]) -> None:
    backend = start()
    (backend.beamtime / "raw" / "silica_00001" / "e4m").rename(backend.beamtime / "raw" / "moved")
    backend.series_ended()
    row = backend.poll_until(lambda row: row.state == "failed", "failed")
    assert PurePosixPath(row.result_path).name not in os.listdir(backend.beamtime / "processed")
