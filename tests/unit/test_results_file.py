from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.correlation_result import CorrelationResult
from backend.dispatch.intake import take_in
from backend.dispatch.job import DONE_FILE, INTENT_FILE, JobIntent, write_record
from backend.errors import DispatchError
from backend.results.agreement import compare_g2
from backend.results.result_file import read_result, write_result
from backend.snapshot import RingFit

ROOT = Path(__file__).parents[2]
FIT = RingFit(
    gamma_per_s=3.0,
    gamma_err_per_s=0.1,
    contrast=0.2,
    contrast_err=0.01,
    baseline=1.0,
    baseline_err=0.001,
    exponent=0.9,
    exponent_err=0.05,
    reduced_chi2=1.1,
)


def correlation_result(
    rings: int = 3, lags: int = 7, frames: int = 9, fine: int = 5, seed: int = 1
) -> CorrelationResult:
    random = np.random.default_rng(seed)
    g2 = 1 + random.random((rings, lags))
    if lags:
        g2[:, -1] = np.nan
    mean_image = random.random((6, 8)).astype(np.float32)
    mean_image[0, 0] = np.nan
    return CorrelationResult(
        series="silica_00001",
        sample="silica",
        detector="e4m",
        frames=frames,
        frame_time_s=0.1 + 1e-17,
        lag_frames=np.arange(1, lags + 1),
        g2=g2,
        g2_err=random.random((rings, lags)),
        sector_g2=random.random((4, rings, lags)),
        sector_azimuth_deg=random.random((4, rings)) * 360,
        q_inv_nm=random.random(rings),
        ring_map=random.integers(0, rings + 1, (6, 8), dtype=np.int32),
        fine_q_inv_nm=random.random(fine),
        fine_intensity=random.random(fine),
        fine_ring_map=random.integers(0, fine + 1, (6, 8), dtype=np.int32),
        ring_counts=random.integers(0, 2**40, (frames, rings)),
        frame_numbers=np.arange(frames) * 2,
        ring_pixels=random.integers(1, 99, rings),
        mean_image=mean_image,
        occurrences=random.integers(0, 2**40, (rings, 8)),
        contrast=random.random(rings),
        contrast_err=random.random(rings),
        good_pixels=random.integers(0, 2, (6, 8), dtype=np.uint8),
        hot_pixels=np.array([47, 3]),
        hot_photons=np.array([900, 2**40]),
        hot_expected=np.array([10.5, 7.0]),
        hot_found_after=np.array([64, 128]),
        hot_flashing=np.array([True, False]),
        dead_pixels=np.array([5]),
        fits=tuple(None if ring == 1 else FIT for ring in range(rings)),
        geometry={
            "distance_m": 5.0,
            "wavelength_m": 1.5e-10,
            "pixel_size_m": 75e-6,
            "beam_center_y_px": 3.25,
            "beam_center_x_px": -4.0,
        },
        settings_json='{"rings": 3}',
        settings_sha256="ab" * 32,
        program_version="0.1.0",
        verdict="GOOD",
        verdict_why="0.1 % of 5 %",
        notices=("Beam centre from batchinfo: 1 px off.",),
    )


def assert_equal(one: CorrelationResult, other: CorrelationResult) -> None:
    for field in fields(CorrelationResult):
        left, right = getattr(one, field.name), getattr(other, field.name)
        if isinstance(left, np.ndarray):
            assert left.dtype == right.dtype, field.name
            np.testing.assert_array_equal(left, right, strict=True, err_msg=field.name)
        else:
            assert left == right, field.name


def test_everything_comes_back(tmp_path: Path) -> None:
    result = correlation_result()
    write_result(tmp_path / "r.h5", result)
    assert_equal(read_result(tmp_path / "r.h5"), result)
    assert [entry.name for entry in tmp_path.iterdir()] == ["r.h5"]


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)


@settings(max_examples=30, deadline=None)
@given(
    rings=st.integers(0, 4),
    lags=st.integers(0, 5),
    frames=st.integers(0, 5),
    notices=st.lists(texts, max_size=3),
    text=texts,
    number=st.floats(allow_nan=False),
)
def test_any_result_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    rings: int,
    lags: int,
    frames: int,
    notices: list[str],
    text: str,
    number: float,
) -> None:
    path = tmp_path_factory.mktemp("result") / "r.h5"
    result = replace(
        correlation_result(rings, lags, frames),
        notices=tuple(notices),
        series=text,
        settings_json=text,
        verdict_why=text,
        geometry={"distance_m": number},
    )
    write_result(path, result)
    assert_equal(read_result(path), result)


def test_the_layout_is_the_one_other_programs_read(tmp_path: Path) -> None:
    result = correlation_result()
    write_result(tmp_path / "r.h5", result)
    with h5py.File(tmp_path / "r.h5") as file:
        assert file["/xpcs/multitau/normalized_g2"].shape == (7, 3)
        assert file["/xpcs/multitau/normalized_g2_err"].shape == (7, 3)
        np.testing.assert_array_equal(file["/xpcs/multitau/normalized_g2"][:, 2], result.g2[2])
        np.testing.assert_array_equal(file["/xpcs/multitau/delay_list"][()], result.lag_frames)
        np.testing.assert_array_equal(file["/xpcs/qmap/dynamic_roi_map"][()], result.ring_map)
        np.testing.assert_array_equal(file["/xpcs/qmap/static_roi_map"][()], result.fine_ring_map)
        assert file["/xpcs/qmap/dynamic_v_list_dim0"].attrs["units"] == "1/nm"
        assert file["/xpcs/qmap/static_v_list_dim0"].shape == file["/xpcs/temporal_mean/scattering_1d"].shape
        assert file["/xpcs/temporal_mean/scattering_2d"].shape == (6, 8)
        assert file["/entry"].attrs["NX_class"] == "NXentry"
        detector = file["/entry/instrument/detector_1"]
        assert detector["distance"][()] == 5.0 and detector["distance"].attrs["units"] == "m"
        energy_kev = file["/entry/instrument/incident_beam/incident_energy"]
        assert energy_kev[()] == pytest.approx(8.26561, rel=1e-5) and energy_kev.attrs["units"] == "keV"


def test_an_earlier_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "r.h5"
    write_result(path, correlation_result(seed=1))
    write_result(path, correlation_result(seed=2))
    assert_equal(read_result(path), correlation_result(seed=2))


def test_a_failed_write_leaves_the_earlier_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "r.h5"
    write_result(path, correlation_result())
    with pytest.raises(DispatchError, match=r"contrast has 2 along ring, others have 3"):
        write_result(path, replace(correlation_result(), contrast=np.ones(2)))
    with pytest.raises(DispatchError, match="cannot be written") as caught:
        write_result(tmp_path / "none" / "r.h5", correlation_result())
    assert caught.value.try_this
    (tmp_path / "folder").mkdir()
    with pytest.raises(DispatchError, match="cannot be written"):
        write_result(tmp_path / "folder", correlation_result())
    assert_equal(read_result(path), correlation_result())
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["folder", "r.h5"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(DispatchError, match="cannot be written"):
        write_result(tmp_path / "r.h5", correlation_result())


def test_a_full_disk_gives_words_and_leaves_no_part(tmp_path: Path) -> None:
    write_result(tmp_path / "r.h5", correlation_result())
    program = f"""
import resource, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_results_file import correlation_result
from backend.errors import DispatchError
from backend.results.result_file import write_result
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
try:
    write_result(Path(sys.argv[1]), correlation_result(rings=20, lags=100, seed=2))
except DispatchError as error:
    print(error.what)
"""
    command = [sys.executable, "-c", program, str(tmp_path / "r.h5")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "cannot be written: File too large" in ended.stdout
    assert [entry.name for entry in tmp_path.iterdir()] == ["r.h5"]
    assert_equal(read_result(tmp_path / "r.h5"), correlation_result())


@pytest.mark.parametrize(
    "missing",
    [
        "/xpcs/multitau/normalized_g2",
        "/entry/mento_gui",
        "/xpcs/multitau/fits/gamma_per_s",
        "/entry/title",
        "/xpcs",
    ],
)
def test_a_file_that_lacks_something_is_refused_in_words(tmp_path: Path, missing: str) -> None:
    path = tmp_path / "r.h5"
    write_result(path, correlation_result())
    with h5py.File(path, "a") as file:
        del file[missing]
    with pytest.raises(DispatchError, match="is not a result file of this program") as caught:
        read_result(path)
    assert str(path) in caught.value.what and caught.value.try_this


@pytest.mark.parametrize("wrong", [np.ones(3), "text", np.ones((2, 2))])
def test_a_wrong_dataset_is_refused_in_words(tmp_path: Path, wrong: object) -> None:
    path = tmp_path / "r.h5"
    write_result(path, correlation_result())
    with h5py.File(path, "a") as file:
        del file["/xpcs/multitau/normalized_g2"]
        file["/xpcs/multitau/normalized_g2"] = wrong
    with pytest.raises(DispatchError):
        read_result(path)


def test_a_file_of_a_newer_program_and_no_file(tmp_path: Path) -> None:
    path = tmp_path / "r.h5"
    write_result(path, correlation_result())
    with h5py.File(path, "a") as file:
        file["/entry/mento_gui"].attrs["format_version"] = 99
    with pytest.raises(DispatchError, match="format 99"):
        read_result(path)
    with pytest.raises(DispatchError, match="does not exist"):
        read_result(tmp_path / "none.h5")


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 1), damage=st.binary(max_size=8))
def test_a_truncated_or_damaged_file_gives_words_or_a_result(
    tmp_path_factory: pytest.TempPathFactory, share: float, damage: bytes
) -> None:
    path = tmp_path_factory.mktemp("result") / "r.h5"
    write_result(path, correlation_result())
    content = path.read_bytes()
    cut = int(share * len(content))
    path.write_bytes(content[:cut] + damage)
    try:
        read_result(path)
    except DispatchError as error:
        assert str(path) in error.what
    path.write_bytes(content[:cut] + damage + content[cut + len(damage) :])
    try:
        read_result(path)
    except DispatchError as error:
        assert str(path) in error.what


def test_the_intake_accepts_our_result_file(tmp_path: Path) -> None:
    source = tmp_path / "source.h5"
    write_result(source, correlation_result())
    job = JobIntent(
        job_id="job-1",
        series="silica_00001",
        detector="e4m",
        recipe="xpcs",
        recipe_sha256="ab" * 32,
        attempt=1,
        retries_left=0,
        executor="local",
        command=("cp", str(source), str(tmp_path / "part.h5")),
        folder=tmp_path,
        part_path=tmp_path / "part.h5",
        result_path=tmp_path / "result.h5",
        time_limit_s=60.0,
        nice=0,
        submitted_at=0.0,
    )
    write_record(tmp_path / INTENT_FILE, job)
    wrapper = [sys.executable, "-m", "backend.dispatch.run_job", str(tmp_path / INTENT_FILE)]
    subprocess.run(wrapper, cwd=ROOT, check=True)
    assert (tmp_path / DONE_FILE).exists()
    result = take_in(tmp_path)
    assert result.is_good and result.path is not None
    assert_equal(read_result(result.path), correlation_result())


def g2_of(rings: int = 5, lags: int = 30) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    lag_s = np.geomspace(0.1, 100, lags)
    g2 = 1 + 0.2 * np.exp(-2 * np.outer(np.arange(1, rings + 1), lag_s))
    return lag_s, g2, np.full_like(g2, 0.01)


def test_the_same_numbers_are_confirmed() -> None:
    lag_s, g2, err = g2_of()
    z, agreement = compare_g2(lag_s, g2, err, lag_s, g2, err)
    np.testing.assert_array_equal(z, 0.0)
    assert agreement == "confirmed"
    nothing = np.zeros_like(err)
    assert compare_g2(lag_s, g2, nothing, lag_s, g2, nothing)[1] == "confirmed"


def test_z_is_the_difference_in_combined_errors() -> None:
    lag_s, g2, err = g2_of()
    z, agreement = compare_g2(lag_s, g2, err, lag_s, g2 + 2 * np.hypot(0.01, 0.01), err)
    np.testing.assert_allclose(z, 2.0)
    assert agreement == "confirmed"


def test_one_ring_far_off_disputes() -> None:
    lag_s, g2, err = g2_of()
    other = g2.copy()
    other[3] += 0.1
    z, agreement = compare_g2(lag_s, g2, err, lag_s, other, err)
    assert agreement == "disputed" and int(np.argmax(z)) == 3
    nothing = np.zeros_like(err)
    assert np.isinf(compare_g2(lag_s, g2, nothing, lag_s, other, nothing)[0][3])


@pytest.mark.parametrize("correlated", [False, True])
def test_noise_alone_is_seldom_disputed(correlated: bool) -> None:
    lag_s, g2, err = g2_of(rings=20)
    random = np.random.default_rng(7)
    disputed = 0
    for _ in range(1000):
        noise = random.normal(0, 0.01 * np.sqrt(2), (20, 1 if correlated else 30))
        disputed += compare_g2(lag_s, g2, err, lag_s, g2 + noise, err)[1] == "disputed"
    assert disputed <= 6


def test_only_common_lags_and_finite_points_count() -> None:
    lag_s, g2, err = g2_of()
    spoiled = g2.copy()
    spoiled[0, 3] = np.nan
    spoiled[1] = np.nan
    z, agreement = compare_g2(
        lag_s[:20], g2[:, :20], err[:, :20], lag_s[5:] * (1 + 1e-9), spoiled[:, 5:], err[:, 5:]
    )
    assert agreement == "confirmed"
    np.testing.assert_allclose(z, [0, np.nan, 0, 0, 0], atol=1e-9)


def test_what_cannot_be_compared_is_said() -> None:
    lag_s, g2, err = g2_of()
    with pytest.raises(DispatchError, match="5 q rings, the job's 4"):
        compare_g2(lag_s, g2, err, lag_s, g2[:4], err[:4])
    with pytest.raises(DispatchError, match="no lag in common"):
        compare_g2(lag_s, g2, err, lag_s * 1.5, g2, err)
    with pytest.raises(DispatchError, match="no lag in common"):
        compare_g2(lag_s[:0], g2[:, :0], err[:, :0], lag_s, g2, err)
