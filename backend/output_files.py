"""Looks into files that programs of others leave: are they sound, do they hold what was promised, which numbers."""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from backend.job_plan import Output, OutputKind

RESULT_DATASETS = ("/xpcs/multitau/normalized_g2", "/xpcs/multitau/delay_list", "/xpcs/qmap/dynamic_roi_map")
"""What a result file must hold to be drawn over the live curve; other XPCS programs write it in the same places."""

_PNG_BEGIN = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"
_CSV_SEPARATORS = (",", ";", "\t")
_UNREADABLE = (OSError, RuntimeError, KeyError, ValueError, TypeError, NotImplementedError)


class UnreadableOutputError(Exception):
    """A file of another program cannot be read as what it should be; the text says why, without naming the file."""


def output_faults(path: Path, output: Output) -> list[str]:
    """What is wrong with a file, as sentences without its name ("it is empty"); none when it is as promised."""
    try:
        information = os.stat(path, follow_symlinks=False)
    except OSError as error:
        return [f"it cannot be read: {error.strerror}"]
    if not stat.S_ISREG(information.st_mode):
        return ["it is no ordinary file"]
    if information.st_size == 0:
        return ["it is empty"]
    if output.kind == "png":
        return _png_faults(path)
    if output.kind in ("text", "file"):
        return []
    names = output.names + (RESULT_DATASETS if output.kind == "mento-result" else ())
    return _number_faults(path, output, names)


def read_numbers(path: Path, kind: OutputKind, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Columns of a CSV file, or datasets of an HDF5 or MAT file, by the names asked for.

    In a CSV file the first line has the names; where that is numbers too, columns are called ``1``, ``2`` ... In a
    MAT file ``a/b`` is field ``b`` of ``a``, and of a cell array the first cell is meant.

    Returns
    -------
    dict of str to ndarray
        As stored, numbers of any type and shape.

    Raises
    ------
    UnreadableOutputError
        It is no such file, or has no such numbers.
    """
    try:
        if kind == "csv":
            return _csv_columns(path, names)
        if kind == "mat" and not h5py.is_hdf5(path):
            return _old_mat(path, names)
        with h5py.File(path, "r", locking=False) as file:
            return {name: _hdf5_numbers(file, name) for name in names}
    except _UNREADABLE as error:
        raise UnreadableOutputError(f"it is not a sound {_KIND_WORDS[kind]} file ({error})") from error


def csv_titles(path: Path) -> tuple[str, ...]:
    """Names of the columns of a CSV file, in order.

    Raises
    ------
    UnreadableOutputError
        It has no lines, or is no text.
    """
    try:
        return _csv_table(path).titles
    except _UNREADABLE as error:
        raise UnreadableOutputError(f"it is not a sound CSV file ({error})") from error


_KIND_WORDS: Mapping[str, str] = {
    "hdf5": "HDF5", "mento-result": "HDF5", "mat": "MAT", "csv": "CSV",
}  # fmt: skip


def _number_faults(path: Path, output: Output, names: tuple[str, ...]) -> list[str]:
    if not names:
        try:
            if output.kind == "csv":
                csv_titles(path)
            else:
                read_numbers(path, output.kind, ())
        except UnreadableOutputError as error:
            return [str(error)]
        return []
    faults = []
    for name in names:
        try:
            numbers = read_numbers(path, output.kind, (name,))[name]
        except UnreadableOutputError as error:
            faults.append(str(error))
            continue
        wanted = output.shape.get(name)
        if wanted is not None and not _has_shape(numbers.shape, wanted):
            faults.append(
                f"{name} has the shape {_shape_words(numbers.shape)}, wanted is {_shape_words(wanted)}"
            )
        if output.finite and not np.isfinite(numbers.astype(np.float64)).all():
            faults.append(f"{name} holds numbers that are not finite")
    return list(dict.fromkeys(faults))


def _has_shape(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        want in (0, have) for have, want in zip(shape, wanted, strict=True)
    )


def _shape_words(shape: tuple[int, ...]) -> str:
    return " x ".join(str(length) if length else "any" for length in shape) or "one number"


def _png_faults(path: Path) -> list[str]:
    content = path.read_bytes()
    if not content.startswith(_PNG_BEGIN):
        return ["it is no PNG picture"]
    # A picture that was cut off lacks its last piece.
    return [] if content.rstrip(b"\0\r\n").endswith(_PNG_END) else ["the PNG picture is cut off"]


class _CsvTable(NamedTuple):
    titles: tuple[str, ...]
    separator: str | None
    body: list[str]


def _csv_table(path: Path) -> _CsvTable:
    with open(path, encoding="utf-8-sig") as file:
        lines = [line for line in file if line.strip()]
    if not lines:
        raise UnreadableOutputError("it has no lines")
    first = lines[0].lstrip("#").strip()
    separator = next((mark for mark in _CSV_SEPARATORS if mark in first), None)
    titles = tuple(title.strip().strip("\"'") for title in first.split(separator))
    if all(map(_is_number, titles)):
        return _CsvTable(tuple(str(number) for number in range(1, len(titles) + 1)), separator, lines)
    return _CsvTable(titles, separator, lines[1:])


def _csv_columns(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    table = _csv_table(path)
    found = {}
    for name in names:
        if name not in table.titles:
            raise UnreadableOutputError(f"it has no column {name}; it has {', '.join(table.titles)}")
        place = table.titles.index(name)
        numbers = [_cell(line, table.separator, place) for line in table.body]
        found[name] = np.array(numbers, dtype=np.float64)
    return found


def _cell(line: str, separator: str | None, place: int) -> float:
    cells = line.split(separator)
    text = cells[place].strip().strip("\"'") if place < len(cells) else ""
    return float(text) if _is_number(text) else float("nan")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _hdf5_numbers(file: h5py.File, name: str) -> np.ndarray:
    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        raise UnreadableOutputError(f"it holds no {name}")
    # The cells of a MAT file are references to what is in them.
    while h5py.check_ref_dtype(found.dtype) is h5py.Reference:
        found = file[found[()].flat[0]]
    if found.dtype.kind not in "biuf":
        raise UnreadableOutputError(f"{name} holds no numbers")
    numbers: np.ndarray = np.asarray(found[()])
    return numbers


def _old_mat(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    # Loaded only for the rare file that needs it: every job loads this module.
    import scipy.io

    try:
        content = scipy.io.loadmat(path, simplify_cells=True)
    except (scipy.io.matlab.MatReadError, zlib.error, ArithmeticError, LookupError, MemoryError) as error:
        raise UnreadableOutputError(f"it is not a sound MAT file ({error})") from error
    return {name: _mat_numbers(content, name) for name in names}


def _mat_numbers(content: dict[str, Any], name: str) -> np.ndarray:
    found: Any = content
    for step in name.strip("/").split("/"):
        if not isinstance(found, dict) or step not in found:
            raise UnreadableOutputError(f"it holds no {name}")
        found = found[step]
        while isinstance(found, list) and found or isinstance(found, np.ndarray) and found.dtype == object:
            found = found[0] if isinstance(found, list) else found.flat[0]
    numbers = np.asarray(found)
    if numbers.dtype.kind not in "biuf":
        raise UnreadableOutputError(f"{name} holds no numbers")
    return numbers
