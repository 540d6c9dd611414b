"""LZ4 blocks: decoded exactly, stopped early where planes only repeat, and never written beyond the margins."""

from __future__ import annotations

import numpy as np
import pytest
from filter_chunks import filter_chunk
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy_twins import lz4_literals

from backend.detector.lz4_blocks import DAMAGED, MARGIN, lz4_decode_planes

CANARIES = 64


def lz4(data: bytes, size: int, behind: int = 8, plane_bytes: int = 0) -> tuple[int, bytes]:
    """Bytes decoded and the target, which lies in the middle of a larger array; checks its surroundings.

    behind : int
        Bytes of the source that follow the data.
    """
    whole = np.full(size + 2 * MARGIN + 2 * CANARIES, 0xA5, np.uint8)
    source = np.frombuffer(b"\xee" * 8 + data + b"\xee" * behind, np.uint8)
    target = whole[CANARIES:-CANARIES]
    written = lz4_decode_planes(source, 8, 8 + len(data), target, size, plane_bytes)
    assert np.all(whole[:CANARIES] == 0xA5)
    assert np.all(whole[-CANARIES:] == 0xA5)
    return written, target[MARGIN : MARGIN + size].tobytes()


@pytest.mark.parametrize("behind", [0, 8, 100])
def test_lz4_repeats_what_it_has_written(behind: int) -> None:
    # "ab", 4 + 7 bytes from 2 back, then the literal "c".
    assert lz4(b"\x27ab\x02\x00\x10c", 14, behind) == (14, b"ab" * 6 + b"ac")
    # "abc", 4 + 1 bytes from 3 back; then 20 times the last byte; then "d".
    data = b"\x31abc\x03\x00\x0f\x01\x00\x01\x10d"
    assert lz4(data, 29, behind) == (29, b"abcabcab" + b"b" * 20 + b"d")


def sequence(literals: bytes, distance: int, length: int) -> bytes:
    """LZ4 sequence: literals, then ``length`` >= 4 bytes from ``distance`` back."""
    head = bytearray(lz4_literals(literals))
    rest = length - 4
    head[0] |= min(rest, 15)
    more = b"\xff" * ((rest - 15) // 255) + bytes([(rest - 15) % 255]) if rest >= 15 else b""
    return bytes(head) + distance.to_bytes(2, "little") + more


def repeated(past: bytes, distance: int, length: int) -> bytes:
    """What such a back reference stands for, after ``past``."""
    pattern = past[len(past) - distance :]
    return (pattern * (length // distance + 1))[:length]


@pytest.mark.parametrize("distance", [*range(1, 35), 63, 64, 65, 500])
@pytest.mark.parametrize("length", [4, 5, 8, 31, 32, 33, 64, 273, 274, 1000])
def test_lz4_repeats_from_any_distance_for_any_length(distance: int, length: int) -> None:
    pattern = np.random.default_rng(distance).integers(0, 256, distance, np.uint8).tobytes()
    expected = pattern + repeated(pattern, distance, length) + b"!"
    data = sequence(pattern, distance, length) + b"\x10!"
    assert lz4(data, len(expected), 0) == (len(expected), expected)
    assert lz4(data, len(expected) - 2)[0] == DAMAGED


SEQUENCES = st.lists(
    st.tuples(st.integers(0, 40), st.one_of(st.integers(1, 16), st.just(32)), st.integers(4, 300)), max_size=5
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(SEQUENCES, st.sampled_from([8, 16, 32, 64]), st.integers(0, 14), st.booleans(), st.integers(0, 3))
def test_any_sequences_equal_what_they_stand_for_also_when_stopped_early(
    sequences: list[tuple[int, int, int]], plane_bytes: int, last: int, goes_on: bool, symbols: int
) -> None:
    """Few different bytes, so that what looks like the end of a repetition often is one."""
    generator = np.random.default_rng(last)
    data, expected = b"", b""
    for left, (literals, back, length) in zip(range(len(sequences) - 1, -1, -1), sequences, strict=True):
        fresh = generator.integers(0, symbols + 1, literals, np.uint8).tobytes() + b"\1"
        expected += fresh
        distance = min(back, len(expected))
        if not left:
            # Whole planes, together with the literals behind it.
            length += -(len(expected) + length + last) % plane_bytes
        data += sequence(fresh, distance, length)
        expected += repeated(expected, distance, length)
    rest = last + -(len(expected) + last) % plane_bytes
    end = generator.integers(0, symbols + 1, rest, np.uint8).tobytes()
    if goes_on and sequences:
        end = repeated(expected, distance, rest)
    data += lz4_literals(end)
    expected += end
    assert lz4(data, len(expected)) == (len(expected), expected)
    written, planes = lz4(data, len(expected), plane_bytes=plane_bytes)
    assert written % plane_bytes == 0
    assert planes[:written] == expected[:written]
    if written < len(expected):
        copies = (len(expected) - written) // plane_bytes
        assert expected[written:] == copies * expected[written - plane_bytes : written]


@pytest.mark.parametrize("last", [b"defghabcdefgh", b"45678abcdefgh", b"defghabcdefgX"])
def test_last_literals_longer_than_a_plane_are_compared_with_the_repetition_alone(last: bytes) -> None:
    """What stands before the repetition may look the same."""
    begin = b"12345678abcdefgh"
    data = sequence(begin, 8, 11) + lz4_literals(last)
    expected = begin + repeated(begin, 8, 11) + last
    written, planes = lz4(data, 40, plane_bytes=8)
    assert planes[:written] == expected[:written]
    assert expected[written:] == (40 - written) // 8 * expected[written - 8 : written]


@pytest.mark.parametrize("missing", range(1, 13))
@pytest.mark.parametrize("data", [b"\x27ab\x02\x00\x10c", b"\x18a\x01\x00\x10c"])
def test_lz4_repeats_stop_before_the_end_of_the_target(data: bytes, missing: int) -> None:
    size = 14
    assert lz4(data, size - missing)[0] == DAMAGED


@pytest.mark.parametrize("length", [0, 1, 14, 15, 16, 17, 269, 270, 271, 524, 525, 5000])
@pytest.mark.parametrize("behind", [0, 16])
def test_lz4_literals_of_any_length(length: int, behind: int) -> None:
    data = bytes(np.random.default_rng(length).integers(0, 256, length, np.uint8))
    assert lz4(lz4_literals(data), length, behind) == (length, data)
    assert lz4(lz4_literals(data), length + 1, behind)[0] == DAMAGED
    if length:
        assert lz4(lz4_literals(data), length - 1, behind)[0] == DAMAGED


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x10",
        b"\xf0",
        b"\xf0" + b"\xff" * 30,
        b"\x10a\x01",
        b"\x10a\x00\x00\x10b",
        b"\x10a\x02\x00\x10b",
        b"\x1fa\x01\x00",
        b"\x1fa\x01\x00" + b"\xff" * 40,
        b"\x1fa\x01\x00" + b"\xff" * 40 + b"\x00",
        b"\x1fa\xff\xff\x00\x10b",
    ],
)
@pytest.mark.parametrize("plane_bytes", [0, 8])
def test_lz4_refuses_broken_sequences(data: bytes, plane_bytes: int) -> None:
    assert lz4(data, 64, plane_bytes=plane_bytes)[0] == DAMAGED


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.binary(max_size=120), st.integers(0, 200), st.integers(0, 40), st.integers(0, 20))
def test_lz4_never_writes_beyond_its_margins(data: bytes, size: int, behind: int, plane_bytes: int) -> None:
    written, _ = lz4(data, size, behind, plane_bytes)
    assert written == DAMAGED or 0 <= written <= size


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    dtype=st.sampled_from([np.uint8, np.uint16, np.uint32]),
    gap_columns=st.integers(0, 40),
    mean=st.sampled_from([0.0, 0.003, 0.3, 20.0]),
    block_pixels=st.sampled_from([64, 128, 1024]),
)
def test_blocks_that_only_repeat_are_not_written_out(
    seed: int, dtype: type, gap_columns: int, mean: float, block_pixels: int
) -> None:
    """Whole planes before the repetition are right, and the last of them equals all that were left out."""
    generator = np.random.default_rng(seed)
    frame = generator.poisson(mean, (32, 64)).astype(dtype)
    frame[:, 20 : 20 + gap_columns] = np.iinfo(dtype).max
    chunk = np.frombuffer(filter_chunk(frame, block_pixels), np.uint8)
    at, plane_bytes, size = 12, block_pixels // 8, block_pixels * np.dtype(dtype).itemsize
    whole, early = (np.zeros(size + 2 * MARGIN, np.uint8) for _ in range(2))
    for _ in range(frame.size // block_pixels):
        stop = at + 4 + int.from_bytes(chunk[at : at + 4].tobytes(), "big")
        assert lz4_decode_planes(chunk, at + 4, stop, whole, size, 0) == size
        written = lz4_decode_planes(chunk, at + 4, stop, early, size, plane_bytes)
        assert written % plane_bytes == 0 and 0 < written <= size
        planes = early[MARGIN : MARGIN + written].reshape(-1, plane_bytes)
        rest = np.tile(planes[-1], (size - written) // plane_bytes)
        decoded = np.concatenate([planes.ravel(), rest])
        assert np.array_equal(decoded, whole[MARGIN : MARGIN + size])
        at = stop


def test_a_sparse_block_is_decoded_only_as_far_as_it_has_photons() -> None:
    frame = np.zeros((32, 64), np.uint32)
    frame[3, 5] = 1
    chunk = np.frombuffer(filter_chunk(frame, 2048), np.uint8)
    target = np.zeros(8192 + 2 * MARGIN, np.uint8)
    assert lz4_decode_planes(chunk, 16, chunk.size, target, 8192, 256) == 512
