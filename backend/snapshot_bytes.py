"""The snapshot as it travels: msgpack with arrays as dtype, shape and raw bytes."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from backend.snapshot import SCHEMA_VERSION, Snapshot

_NDARRAY_EXTENSION = 1


def _encode_hook(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        contiguous = np.ascontiguousarray(value)
        body = msgspec.msgpack.encode((contiguous.dtype.str, value.shape, contiguous.tobytes()))
        return msgspec.msgpack.Ext(_NDARRAY_EXTENSION, body)
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(f"{type(value).__name__} cannot travel in a snapshot")


def _ext_hook(code: int, data: memoryview) -> Any:
    if code != _NDARRAY_EXTENSION:
        raise ValueError(f"unknown extension {code} in a snapshot")
    name, shape, body = msgspec.msgpack.decode(data, type=tuple[str, tuple[int, ...], memoryview])
    try:
        dtype = np.dtype(name)
    except TypeError as error:
        raise ValueError(f"unknown array type {name!r} in a snapshot") from error
    return np.frombuffer(body, dtype=dtype).reshape(shape)


_encoder = msgspec.msgpack.Encoder(enc_hook=_encode_hook)
_decoder = msgspec.msgpack.Decoder(Snapshot, ext_hook=_ext_hook)


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """Snapshot as msgpack bytes; arrays travel as dtype, shape and raw bytes."""
    return _encoder.encode(snapshot)


def decode_snapshot(data: bytes) -> Snapshot:
    """Snapshot from :func:`encode_snapshot`; its arrays are read-only views of ``data``.

    Raises
    ------
    msgspec.DecodeError, ValueError
        The bytes are not a snapshot of this schema.
    """
    snapshot: Snapshot = _decoder.decode(data)
    if snapshot.schema != SCHEMA_VERSION:
        raise ValueError(f"snapshot of schema {snapshot.schema}, this program reads schema {SCHEMA_VERSION}")
    return snapshot
