"""A snapshot through its bytes: every part comes back as it was, and what is no snapshot is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from backend.snapshot import (
    SCHEMA_VERSION,
    AgeCuts,
    BackendPart,
    ConfirmedG2Part,
    G2Part,
    ImagePart,
    IntensityPart,
    JobOutput,
    JobRow,
    Message,
    PixelsPart,
    RecipeRow,
    RingFit,
    RunRow,
    SeriesPart,
    Snapshot,
    TrendPart,
    TwoTimePart,
    UntrustedHost,
    Verdict,
    VerdictState,
)
from backend.snapshot_across import PowerOfDoseRate, SamplePart, SampleSeries, SpotPart
from backend.snapshot_bytes import decode_snapshot, encode_snapshot

LAG_S = np.array([0.01, 0.02, 0.04])
Q_INV_NM = np.array([0.1, 0.2])
G2 = np.array([[1.2, np.nan, 1.0], [np.inf, 1.1, 1.0]])
FIT = RingFit(
    gamma_per_s=3.0, gamma_err_per_s=0.1, contrast=0.2, contrast_err=0.01, baseline=1.0, baseline_err=0.001,
    exponent=1.0, exponent_err=0.1, reduced_chi2=float("nan"),
)  # fmt: skip
BACKEND = BackendPart(
    version="1.2", host="here", pid=7, root="/gpfs", beamtime_id="11", beamtime_title="Gel – Ångström", watching="/g",
    waiting_for="", phase="measuring", started_at=1.5,
)  # fmt: skip
SNAPSHOT = Snapshot(
    sequence=12,
    produced_at=1.7e9,
    backend=BACKEND,
    verdict=Verdict(
        state=VerdictState.BAD_DATA, why="No beam.", do="Check.", onset_interval=(3, 9), also=("a", "b")
    ),
    series=SeriesPart(
        name="gel_00001", sample="gel", detector="e4m", status="running", frames=9, expected_frames=None,
        frame_time_s=None,
    ),
    image=ImagePart(
        preview=np.arange(12, dtype=np.uint8).reshape(3, 4), level_counts=np.zeros(254, np.float32), binning=2,
        beam_center_yx=(1.5, -2.0), ring_radii=np.ones((2, 2), np.float32), q_inv_nm=Q_INV_NM, frames=9,
        masked_pixels=3, saturated_pixels=0,
    ),
    g2=G2Part(lag_s=LAG_S, g2=G2, g2_err=G2 * 0.1, q_inv_nm=Q_INV_NM, frames=9, fits=(FIT, None)),
    confirmed_g2=ConfirmedG2Part(
        job_id="j1", lag_s=LAG_S, g2=G2, g2_err=G2, q_inv_nm=Q_INV_NM, z_score=np.empty((2, 0)), agreement="good"
    ),
    intensity=IntensityPart(
        q_inv_nm=Q_INV_NM, first=Q_INV_NM, now=Q_INV_NM, first_frames=(0, 4), now_frames=(5, 8),
        frame=np.empty(0), photons_per_pixel=np.empty(0), ring_contrast=Q_INV_NM, ring_contrast_err=Q_INV_NM,
    ),
    trend=TrendPart(
        label="structure", frame=np.array([9]), dose=np.array([0.1]), dose_unit="s", effect_percent=np.array([np.nan]),
        effect_err_percent=np.array([np.inf]), tolerance_percent=5.0, log10_evidence=np.array([0.0]), log10_alarm=4.0,
        families={"structure": np.array([np.nan])}, tolerances_percent={"structure": 5.0},
    ),
    two_time=TwoTimePart(
        ring=1, q_inv_nm=0.2, values=np.full((4, 4), np.nan, np.float32), frames_per_bin=1, bin_time_s=0.01, low=1.0,
        high=1.2, pixel_fraction=1.0,
        ages=AgeCuts(
            first_s=np.array([0.0, 0.64]), last_s=np.array([0.64, 1.28]), lag_s=np.array([0.01]),
            g2=np.array([[1.1], [np.nan]]), g2_err=np.array([[0.1], [np.nan]]),
        ),
    ),
    pixels=PixelsPart(
        frames=9, hot=1, flashing=0, dead=2, worst_yx=np.array([[3, 4]]), worst_photons=np.array([900]),
        worst_expected=np.array([1.5]), ring_share=np.array([0.1, 0.0]),
    ),
    runs=(
        RunRow(
            series="gel_00001", sample="gel", detector="e4m", started_at=None, frames=9, expected_frames=None,
            status="running", verdict=VerdictState.TOO_EARLY, why="",
        ),
    ),
    jobs=(
        JobRow(
            job_id="j1", series="gel_00001", recipe="xpcs", executor="local", state="done", reason="", submitted_at=0.5,
            outputs=(JobOutput(path="/p/g2.csv", kind="csv", title="g2", x="lag_s", y=("g2", "fit")),),
        ),
    ),
    messages=(Message(key="k", level="warning", what="µ"),),
    missing={"trend": "too early"},
    spot=SpotPart(
        words="1 kGy on this spot.", position_um=(1.5, -2.0), beam_um=(30.0, 20.0), dose=1e3, dose_before=0.0,
        dose_unit="Gy", onset_dose=None, frames_left=12,
    ),
    sample=SamplePart(
        sample="gel", detector="e4m", words="Too few.", beam_driven=False, dose_rate_unit="Gy/s", q_inv_nm=0.1,
        series=(
            SampleSeries(
                series="gel_00001", verdict="GOOD", dose_rate=1e2, dose_words="1 kGy", relaxation_rate_per_s=3.0,
                relaxation_rate_err=0.1, low_to_high_q=None, low_to_high_q_err=float("nan"), is_used=True,
            ),
        ),
        motion=PowerOfDoseRate(power=0.5, power_err=0.1, scatter=0.0, chance=1e-4, limit=1e-3, series=5),
    ),
    recipes=(
        RecipeRow(name="xpcs", title="g2", description="Of all.", executor="slurm", runs=True, problem="No host."),
    ),
    untrusted_host=UntrustedHost(host="max", port=22, known_hosts="/home/p10/known_hosts"),
)  # fmt: skip


def _same(first: Any, second: Any) -> bool:
    """Equal in type and value, arrays in type, shape and every bit."""
    if isinstance(first, np.ndarray):
        return isinstance(second, np.ndarray) and (first.dtype, first.shape, first.tobytes()) == (
            second.dtype,
            second.shape,
            second.tobytes(),
        )
    if isinstance(first, msgspec.Struct):
        return type(first) is type(second) and all(
            _same(getattr(first, name), getattr(second, name)) for name in first.__struct_fields__
        )
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(_same(first[key], second[key]) for key in first)
    if isinstance(first, tuple):
        return len(first) == len(second) and all(map(_same, first, second))
    return bool(type(first) is type(second) and (first == second or (first != first and second != second)))


def _arrays(value: Any) -> list[np.ndarray]:
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, msgspec.Struct):
        return [array for name in value.__struct_fields__ for array in _arrays(getattr(value, name))]
    return [array for entry in value.values() for array in _arrays(entry)] if isinstance(value, dict) else []


def test_every_part_comes_back_as_it_was() -> None:
    assert all(getattr(SNAPSHOT, name) is not None for name in Snapshot.__struct_fields__)
    assert _same(decode_snapshot(encode_snapshot(SNAPSHOT)), SNAPSHOT)


def test_arrays_that_arrive_are_read_only() -> None:
    arrays = _arrays(decode_snapshot(encode_snapshot(SNAPSHOT)))
    assert len(arrays) > 20
    assert not any(array.flags.writeable for array in arrays)


@given(
    hnp.arrays(
        st.one_of(hnp.floating_dtypes(), hnp.integer_dtypes(), hnp.boolean_dtypes()),
        hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5),
    ),
    st.booleans(),
)
def test_arrays_of_any_type_and_shape_travel(values: np.ndarray, turned: bool) -> None:
    values = values.T if turned else values
    part = msgspec.structs.replace(SNAPSHOT.two_time, values=values)
    arrived = decode_snapshot(encode_snapshot(msgspec.structs.replace(SNAPSHOT, two_time=part)))
    assert arrived.two_time is not None
    assert _same(arrived.two_time.values, np.ascontiguousarray(values))


def test_numpy_numbers_become_plain_ones() -> None:
    sent = msgspec.structs.replace(SNAPSHOT, produced_at=np.float64(2.5), selected_ring=np.int64(3))
    arrived = decode_snapshot(encode_snapshot(sent))
    assert (type(arrived.produced_at), arrived.produced_at) == (float, 2.5)
    assert (type(arrived.selected_ring), arrived.selected_ring) == (int, 3)


def test_what_cannot_travel_is_refused_when_it_is_sent() -> None:
    with pytest.raises(NotImplementedError, match="object cannot travel"):
        encode_snapshot(msgspec.structs.replace(SNAPSHOT, missing={"image": object()}))


@pytest.mark.parametrize("schema", [SCHEMA_VERSION - 1, SCHEMA_VERSION + 1])
def test_another_schema_is_named(schema: int) -> None:
    data = encode_snapshot(msgspec.structs.replace(SNAPSHOT, schema=schema))
    with pytest.raises(ValueError, match=f"schema {schema}, this program reads schema {SCHEMA_VERSION}"):
        decode_snapshot(data)


def _with_values(extension: Any) -> bytes:
    message = msgspec.msgpack.decode(encode_snapshot(SNAPSHOT))
    message["two_time"]["values"] = extension
    encoded: bytes = msgspec.msgpack.encode(message)
    return encoded


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (("nonsense", (1,), bytes(4)), "unknown array type 'nonsense'"),
        (("|O", (1,), bytes(8)), "OBJECT"),
        (("<f4", (3,), bytes(8)), "reshape"),
        (("<f4", (1,), bytes(3)), "multiple"),
        ("text", "Expected"),
    ],
)
def test_an_array_that_cannot_be_is_refused(array: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        decode_snapshot(_with_values(msgspec.msgpack.Ext(1, msgspec.msgpack.encode(array))))


def test_a_list_or_an_unknown_extension_is_no_array() -> None:
    with pytest.raises(ValueError, match="Expected `numpy.ndarray`"):
        decode_snapshot(_with_values([1.0]))
    with pytest.raises(ValueError, match="unknown extension 9"):
        decode_snapshot(_with_values(msgspec.msgpack.Ext(9, b"")))


@given(st.binary(max_size=200))
def test_garbage_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        decode_snapshot(data)


@given(st.integers(0, len(encode_snapshot(SNAPSHOT)) - 1))
def test_a_cut_off_snapshot_is_a_value_error(length: int) -> None:
    with pytest.raises(ValueError):
        decode_snapshot(encode_snapshot(SNAPSHOT)[:length])
