"""Programs of others: their scripts, their environment, and the files they leave, with real processes."""

from __future__ import annotations

import json
import shlex
import struct
import subprocess
import time
import zlib
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from backend.beamtime.path_map import PathMap
from backend.dispatch.folders import make_folder
from backend.dispatch.intake import take_in
from backend.dispatch.intent import WhereJobRuns, make_intent, next_attempt
from backend.dispatch.job import DONE_FILE, INTENT_FILE, DoneRecord, read_record, write_record
from backend.dispatch.job_command import output_folder, program_of, script_of
from backend.dispatch.job_script import intent_on_node
from backend.dispatch.recipe import PLACEHOLDERS, Recipe
from backend.dispatch.script_text import fill_script, script_faults
from backend.frames import DetectorInfo, SeriesInfo
from backend.job_plan import Output
from backend.ledger_rows import JobIntent
from backend.output_files import output_faults, read_numbers
from backend.settings import DispatchSettings

WRITE_CSV = "printf 'lag_s,g2\\n0.1,1.2\\n0.2,1.1\\n' > g2.csv\n"


def recipe(**changes: object) -> Recipe:
    outputs = [{"file": "g2.csv", "kind": "csv", "x": "lag_s", "y": ["g2"]}]
    document = {"name": "mine", "title": "t", "description": "d", "script": WRITE_CSV, "outputs": outputs}
    return Recipe.model_validate(document | changes)


def intent_of(chosen: Recipe, beamtime: Path, **changes: object) -> JobIntent:
    folder = beamtime / "raw" / "silica 'one'_00001" / "e4m"
    detector = DetectorInfo("e4m", (514, 1030), np.dtype(np.uint16))
    info = SeriesInfo(
        "silica_00001", "silica", 1, folder, detector, folder / "silica $HOME_00001_master.h5", 100
    )
    where = WhereJobRuns(
        python="python3",
        results=beamtime / "processed" / "silica",
        beamtime=beamtime,
        settings=DispatchSettings(),
        settings_file=None,
    )
    made = make_intent(chosen, info, 100, where, attempt=1, at=time.time())
    return replace(made, **changes)  # type: ignore[arg-type]


def run(job: JobIntent) -> DoneRecord:
    """Run the wrapper to its end; returns what it left in ``done.json``."""
    make_folder(job.folder)
    write_record(job.folder / INTENT_FILE, job)
    command = ["python3", "-m", "backend.dispatch.run_job", str(job.folder / INTENT_FILE)]
    subprocess.run(command, cwd=Path(__file__).parents[2], check=True, timeout=60)
    done = read_record(job.folder / DONE_FILE, DoneRecord)
    assert done is not None
    return done


def png(cut: int = 0) -> bytes:
    def piece(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    whole = (
        b"\x89PNG\r\n\x1a\n"
        + piece(b"IHDR", head)
        + piece(b"IDAT", zlib.compress(b"\0\x80"))
        + piece(b"IEND", b"")
    )
    return whole[: len(whole) - cut]


def test_a_script_leaves_checked_files_of_its_own(tmp_path: Path) -> None:
    chosen = recipe(
        script="echo {master} > where.txt\necho \"$MENTO_MASTER\" >> where.txt\n"
        + WRITE_CSV
        + "mkdir a; echo x > a/b.txt; echo y > note",
        outputs=[
            {"file": "g2.csv", "kind": "csv", "title": "g2", "x": "lag_s", "y": ["g2"], "finite": True},
            {"file": "*.txt", "kind": "text"},
            {"file": "a/*.txt", "kind": "text"},
            {"file": "picture.png", "kind": "png", "required": False},
        ],
    )  # fmt: skip
    job = intent_of(chosen, tmp_path)
    done = run(job)
    assert done.outcome == "done" and "1 further files stay" in done.reason, done.reason
    taken = take_in(job.folder)
    assert taken.is_good and taken.path is None, taken.problems
    results = tmp_path / "processed" / "silica"
    assert [Path(output.path) for output in taken.outputs] == [
        results / f"silica_00001_mine_{name}" for name in ("g2.csv", "where.txt", "a_b.txt")
    ]
    assert (taken.outputs[0].title, taken.outputs[0].y) == ("g2", ("g2",))
    assert (results / "silica_00001_mine_where.txt").read_text().splitlines() == [
        job.plan.values["master"]
    ] * 2
    assert [entry.name for entry in output_folder(job.folder).iterdir() if entry.is_file()] == ["note"]
    for path in results.iterdir():
        assert path.stat().st_mode & 0o007 == 0


@pytest.mark.parametrize(
    ("script", "output", "words"),
    [
        ("true", {"file": "g2.csv", "kind": "csv"}, "left no g2.csv"),
        ("touch g2.csv", {"file": "g2.csv", "kind": "csv"}, "it is empty"),
        ("ln -s /etc/passwd g2.csv", {"file": "g2.csv", "kind": "csv"}, "no ordinary file"),
        (WRITE_CSV, {"file": "g2.csv", "kind": "csv", "y": ["g3"]}, "no column g3; it has lag_s, g2"),
        (WRITE_CSV, {"file": "g2.csv", "kind": "csv", "shape": {"g2": [3]}}, "shape 2, wanted is 3"),
        (WRITE_CSV + "echo 1,nan >> g2.csv", {"file": "g2.csv", "kind": "csv", "y": ["g2"], "finite": True},
         "not finite"),
        ("echo text > g2.h5", {"file": "*.h5", "kind": "hdf5"}, "not a sound HDF5"),
        ("echo text > p.png", {"file": "*.png", "kind": "png"}, "no PNG"),
        ("false\n" + WRITE_CSV, {"file": "g2.csv", "kind": "csv"}, "exit code 1"),
        ("no-such-program", {"file": "g2.csv", "kind": "csv"}, "was not found (see its log)"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_as_promised_is_kept_aside(
    tmp_path: Path, script: str, output: dict[str, object], words: str
) -> None:
    job = intent_of(recipe(script=script, outputs=[output]), tmp_path)
    done = run(job)
    assert done.outcome == "failed" and words in done.reason, done.reason
    assert list((tmp_path / "processed" / "silica").glob("silica*")) == []
    assert not take_in(job.folder).is_good


def test_all_files_get_their_names_or_none(tmp_path: Path) -> None:
    chosen = recipe(script="echo a > a.txt; echo b > b.txt", outputs=[{"file": "?.txt", "kind": "text"}])
    job = intent_of(chosen, tmp_path)
    results = tmp_path / "processed" / "silica"
    make_folder(results)
    (results / "silica_00001_mine_b.txt").write_text("earlier")
    done = run(job)
    assert done.outcome == "failed" and "silica_00001_mine_b.txt; it was not replaced" in done.reason
    assert [path.name for path in results.glob("silica*")] == ["silica_00001_mine_b.txt"]
    assert (results / "silica_00001_mine_b.txt").read_text() == "earlier"
    assert (output_folder(job.folder) / "a.txt").read_text() == "a\n"
    # Whoever asks anew finds the name taken and gets one of its own.
    again = run(intent_of(chosen, tmp_path, job_id=job.job_id + "0"))
    assert again.outcome == "failed"
    other = next_attempt(job, time.time())
    assert run(other).outcome == "done"
    assert (results / f"{other.job_id}_a.txt").exists()


@pytest.mark.parametrize("change", ["content", "path", "gone"])
def test_what_was_changed_after_the_job_is_not_shown(tmp_path: Path, change: str) -> None:
    job = intent_of(recipe(), tmp_path)
    run(job)
    (output,) = take_in(job.folder).outputs
    if change == "content":
        Path(output.path).write_text("lag_s,g2\n0.1,1.2\n0.2,9.1\n")
    elif change == "gone":
        Path(output.path).unlink()
    else:
        document = json.loads((job.folder / DONE_FILE).read_text())
        document["outputs"][0]["path"] = "/etc/passwd"
        (job.folder / DONE_FILE).write_text(json.dumps(document))
    taken = take_in(job.folder)
    assert not taken.is_good and taken.problems[0].try_this


def test_result_and_outputs_of_one_job(tmp_path: Path) -> None:
    write = (
        "import sys, h5py, numpy\n"
        "with h5py.File(sys.argv[1], 'w') as file:\n"
        "    file['/xpcs/multitau/normalized_g2'] = numpy.ones((3, 2))\n"
        "    file['/xpcs/multitau/delay_list'] = numpy.arange(3)\n"
        "    file['/xpcs/qmap/dynamic_roi_map'] = numpy.ones((4, 5), dtype='i4')\n"
        "open(sys.argv[2] + '/note.txt', 'w').write('x')\n"
    )
    chosen = recipe(script="", command=["python3", "-c", write, "{result}", "{output}"],
                    outputs=[{"file": "note.txt", "kind": "text"}])  # fmt: skip
    job = intent_of(chosen, tmp_path)
    assert run(job).outcome == "done"
    taken = take_in(job.folder)
    assert taken.is_good and taken.path == job.result_path
    assert [output.kind for output in taken.outputs] == ["mento-result", "text"]


def test_the_environment_is_set_up_before_the_command(tmp_path: Path) -> None:
    environment = {
        "setup": ["greeting='hello  you'", "export greeting"],
        "variables": {"OMP_NUM_THREADS": "3", "ODD": "a b 'c' $HOME"},
    }
    script = 'echo "$greeting|$OMP_NUM_THREADS|$ODD|$PWD" > seen.txt'
    chosen = recipe(script=script, environment=environment, outputs=[{"file": "seen.txt", "kind": "text"}])
    job = intent_of(chosen, tmp_path)
    assert run(job).outcome == "done"
    said = (tmp_path / "processed/silica/silica_00001_mine_seen.txt").read_text()
    assert said == f"hello  you|3|a b 'c' $HOME|{output_folder(job.folder)}\n"


def test_modules_conda_and_container_in_their_order(tmp_path: Path) -> None:
    environment = {"modules": ["maxwell", "a b"], "conda": "xpcs", "container": "/software/x y.sif"}
    job = intent_of(recipe(environment=environment), tmp_path)
    program = program_of(job)
    assert program[:3] == ("/bin/bash", "-l", "-c")
    assert program[3].splitlines() == [
        "set -e",
        "module load maxwell",
        "module load 'a b'",
        'eval "$(conda shell.posix hook)"',
        "conda activate xpcs",
        'exec "$@"',
    ]
    results = str(job.result_path.parent)
    assert program[5:] == (
        "apptainer", "exec", "--bind", str(tmp_path), "--bind", results, "--pwd", str(output_folder(job.folder)),
        "/software/x y.sif", "/bin/bash", "-e", str(job.folder / "script.sh"),
    )  # fmt: skip


def test_a_script_on_the_nodes_has_their_paths(tmp_path: Path) -> None:
    job = intent_of(recipe(script="analyse {master} {output}"), tmp_path)
    on_node = intent_on_node(job, PathMap(tmp_path, Path("/beamline/p10/current")))
    words = shlex.split(script_of(on_node))
    assert words[1].startswith("/beamline/p10/current/raw/silica 'one'_00001/e4m/")
    assert words[2] == f"/beamline/p10/current/processed/silica/.jobs/{job.job_id}/output"
    retry = next_attempt(job, time.time())
    assert shlex.split(script_of(retry))[2] == str(output_folder(retry.folder))


@given(st.dictionaries(st.sampled_from(PLACEHOLDERS), st.text(st.characters(exclude_characters="\0"))))
def test_any_value_is_one_word_of_a_script(values: dict[str, str]) -> None:
    script = " ".join("x{" + name + "}" for name in values)
    assert shlex.split(fill_script(script, values)) == ["x" + value for value in values.values()]


def test_what_the_shell_makes_of_a_filled_script(tmp_path: Path) -> None:
    """No value is ever read as anything but text, wherever a placeholder may stand."""
    script = (
        "printf '%s|' {master}x\\\n  a{series} # {folder}'\ncat <<EOF\n{sample}\nEOF\nprintf \"%s\" {frames}"
    )
    values = dict.fromkeys(PLACEHOLDERS, "a 'b' \"c\" $(touch ran) `touch ran` \\")
    filled = fill_script(script, values)
    said = subprocess.run(
        ["bash", "-e", "-c", filled], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    value = values["master"]
    assert said.stdout == f"{value}x|a{value}|{{sample}}\n{value}" and said.stderr == ""
    assert list(tmp_path.iterdir()) == []


@given(st.text())
def test_any_text_as_a_script_is_looked_at(text: str) -> None:
    for fault in script_faults(text, PLACEHOLDERS):
        assert 1 <= fault.line <= len(text.splitlines())
    assert fill_script(text, {}) == text


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("cp {mastr} x", "do you mean {master}?"),
        ('cp "{master}" x', "leave them out"),
        ("echo 'in {output} now'", "leave them out"),
        ("awk '{print}' {master}", ""),
        ("echo ${master} {a,b} {1..3}", ""),
        ("echo \"done\" {master} '\\'", ""),
        ("# don't {master}", ""),
        ('echo \\"{master}', ""),
        ('echo "a\nb {master}"', "leave them out"),
        ("cat <<EOF\ndon't {master} $(x)\nEOF\necho 'x' {master}", ""),
        ("cat <<'A' <<-B\n'\nA\n\t'\n\tB\necho {master}", ""),
        ("echo 'a\\' {master}", ""),
        ("echo 'it # is {master}'", "leave them out"),
        ("echo $((1<<x)) a#b {master} # 'no", ""),
    ],
)
def test_slips_in_a_script(line: str, words: str) -> None:
    faults = list(script_faults("true\n" + line, PLACEHOLDERS))
    assert [fault.line for fault in faults] == ([2 + line.count("\n")] if words else [])
    assert all(words in fault.what for fault in faults)


def test_numbers_from_every_kind_of_file(tmp_path: Path) -> None:
    wanted = {"x": np.arange(3.0), "y": np.array([1.5, 2.5, 3.5])}
    (tmp_path / "a.csv").write_text("# x; y\n0;1.5\n1;2.5\n2;3.5\n")
    (tmp_path / "b.csv").write_text("x y\n0 1.5\n1 2.5\n2 3.5\n")
    (tmp_path / "c.csv").write_text("0,1.5\n1,2.5\n2,3.5\n")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.update(wanted)
    scipy.io.savemat(tmp_path / "a.mat", wanted)
    for name, kind in (
        ("a.csv", "csv"),
        ("b.csv", "csv"),
        ("a.h5", "hdf5"),
        ("a.mat", "mat"),
        ("a.h5", "mat"),
    ):
        found = read_numbers(tmp_path / name, kind, ("x", "y"))  # type: ignore[arg-type]
        for key, numbers in wanted.items():
            np.testing.assert_array_equal(found[key].ravel(), numbers)
    np.testing.assert_array_equal(read_numbers(tmp_path / "c.csv", "csv", ("2",))["2"], wanted["y"])


def test_cells_of_both_kinds_of_mat_file(tmp_path: Path) -> None:
    g2 = np.arange(6.0).reshape(3, 2)
    cell = np.empty((1, 1), dtype=object)
    cell[0, 0] = g2
    scipy.io.savemat(tmp_path / "old.mat", {"ccdimginfo": {"result": {"g2avg": cell}}})
    with h5py.File(tmp_path / "new.mat", "w") as file:
        inner = file.create_dataset("#refs#/a", data=g2.T)
        outer = file.create_dataset("ccdimginfo/result/g2avg", (1, 1), dtype=h5py.ref_dtype)
        outer[0, 0] = inner.ref
    name = "ccdimginfo/result/g2avg"
    np.testing.assert_array_equal(read_numbers(tmp_path / "old.mat", "mat", (name,))[name], g2)
    np.testing.assert_array_equal(read_numbers(tmp_path / "new.mat", "mat", (name,))[name].T, g2)


def test_pictures_are_whole_or_refused(tmp_path: Path) -> None:
    output = Output(file="p.png", kind="png")
    (tmp_path / "p.png").write_bytes(png())
    assert output_faults(tmp_path / "p.png", output) == []
    (tmp_path / "p.png").write_bytes(png(cut=5))
    assert output_faults(tmp_path / "p.png", output) == ["the PNG picture is cut off"]


@given(st.binary(max_size=200), st.sampled_from(["hdf5", "mat", "csv", "png", "text", "mento-result"]))
def test_any_bytes_as_a_file_give_numbers_or_words(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, kind: str
) -> None:
    path = tmp_path_factory.mktemp("any") / "file"
    path.write_bytes(content)
    names = () if kind in ("png", "text") else ("a",)
    faults = output_faults(path, Output(file="file", kind=kind, y=names, finite=True))  # type: ignore[arg-type]
    assert faults == [] or all(isinstance(fault, str) and fault for fault in faults)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"command": ["x"]}, "either command or script"),
        ({"script": ""}, "either command or script"),
        ({"script": "cp {mastr} x"}, "its line 1: {mastr} is not known"),
        ({"outputs": [{"file": "../g2.csv", "kind": "csv"}]}, "must lie in {output}"),
        ({"outputs": [{"file": "/g2.csv", "kind": "csv"}]}, "must lie in {output}"),
        ({"outputs": [{"file": "a.png", "kind": "png", "y": ["g2"]}]}, "datasets or columns"),
        ({"outputs": []}, "nothing would be found"),
        ({"resources": {"sbatch_options": ["--job-name=mine"]}}, "cannot be changed by a recipe"),
        ({"resources": {"cpus": 0}}, "greater than or equal to 1"),
        ({"environment": {"variables": {"A=B": "c"}}}, "pattern"),
        ({"when": {"every_frames": 0}}, "greater than or equal to 1"),
    ],
)
def test_a_recipe_that_cannot_work_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match="(?s).*") as caught:
        recipe(**changes)
    assert words in str(caught.value)
