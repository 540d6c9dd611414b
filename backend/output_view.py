"""A file that a job left, read as it is to be drawn: picture, curves or text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from backend.output_files import UnreadableOutputError, csv_titles, read_numbers
from backend.snapshot import JobOutput

_MOST_CURVES = 12
_MOST_POINTS = 20_000
_MOST_PICTURE_BYTES = 50_000_000
_MOST_TEXT_BYTES = 100_000
_MOST_DATASETS = 200
_RESULT_X, _RESULT_Y = "/xpcs/multitau/delay_list", "/xpcs/multitau/normalized_g2"


@dataclass(frozen=True, slots=True)
class OutputCurve:
    """One line: ``x`` and ``y``, each shape (point,), float64, not finite where there is no point."""

    label: str
    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputView:
    """What a window shows of one file: curves, else a picture (PNG), else text. ``note`` says what was left out."""

    title: str
    path: str
    curves: tuple[OutputCurve, ...] = ()
    x_label: str = ""
    picture: bytes = b""
    text: str = ""
    note: str = ""


def read_output_view(output: JobOutput) -> OutputView:
    """Read a file; whatever is wrong with it becomes the text."""
    path = Path(output.path)
    title = output.title or path.name
    try:
        if output.kind == "png":
            return _picture(title, path)
        if output.kind in ("csv", "hdf5", "mat", "mento-result"):
            return _numbers(title, path, output)
        if output.kind == "text":
            return OutputView(title=title, path=output.path, text=_beginning(path))
        size = path.stat().st_size
    except OSError as error:
        return _trouble(title, path, error.strerror or str(error))
    except UnreadableOutputError as error:
        return _trouble(title, path, str(error))
    return OutputView(title=title, path=output.path, text=f"A file of {size} bytes, kept as it is.")


def _trouble(title: str, path: Path, why: str) -> OutputView:
    return OutputView(title=title, path=str(path), text=f"This file cannot be shown: {why}.")


def _picture(title: str, path: Path) -> OutputView:
    if path.stat().st_size > _MOST_PICTURE_BYTES:
        return _trouble(title, path, "the picture is too large")
    return OutputView(title=title, path=str(path), picture=path.read_bytes())


def _numbers(title: str, path: Path, output: JobOutput) -> OutputView:
    x_name, y_names = output.x, output.y
    if output.kind == "mento-result":
        x_name, y_names = _RESULT_X, (_RESULT_Y,)
    elif output.kind == "csv" and not y_names:
        first, *others = csv_titles(path)
        x_name, y_names = (x_name or first, tuple(name for name in others if name != x_name))
        if not y_names:
            x_name, y_names = "", (first,)
    if not y_names:
        return OutputView(title=title, path=str(path), text=_contents(path))
    wanted = (*([x_name] if x_name else ()), *y_names)
    kind = "hdf5" if output.kind == "mento-result" else output.kind
    numbers = read_numbers(path, kind, wanted)  # type: ignore[arg-type]
    x = numbers[x_name].astype(np.float64).ravel() if x_name else None
    lines = [line for name in y_names for line in _lines(name, numbers[name], x)]
    # Of many curves those from the first to the last in equal steps: in order of q they say more than the first few.
    shown = [lines[round(place)] for place in np.linspace(0, len(lines) - 1, min(len(lines), _MOST_CURVES))]
    note = f"{len(shown)} of {len(lines)} curves are shown." if len(shown) < len(lines) else ""
    return OutputView(
        title=title,
        path=str(path),
        curves=tuple(shown),
        x_label=x_name.rpartition("/")[2] if x_name else "index",
        note=note,
    )


def _lines(name: str, values: np.ndarray, x: np.ndarray | None) -> list[OutputCurve]:
    """One curve for a list of numbers, one per column (or row, where that fits ``x``) for a table."""
    table = np.squeeze(values.astype(np.float64))
    if table.ndim > 2:
        raise UnreadableOutputError(f"{name} has {table.ndim} axes; lists and tables can be drawn")
    columns = np.atleast_1d(table)[:, None] if table.ndim < 2 else table
    if x is not None and len(columns) != len(x):
        columns = columns.T
    if x is not None and len(columns) != len(x):
        raise UnreadableOutputError(f"{name} has {values.shape} numbers for {len(x)} places")
    if not columns.size:
        raise UnreadableOutputError(f"{name} holds no numbers")
    step = -(-len(columns) // _MOST_POINTS)
    places = np.arange(len(columns), dtype=np.float64) if x is None else x
    short = name.rpartition("/")[2]
    return [
        OutputCurve(
            short if columns.shape[1] == 1 else f"{short} {number + 1}",
            places[::step],
            columns[::step, number],
        )
        for number in range(columns.shape[1])
    ]


def _contents(path: Path) -> str:
    """Names and shapes of the datasets of an HDF5 file."""
    if not h5py.is_hdf5(path):
        return "The recipe names nothing in it to be drawn."
    found: list[str] = []

    def note(name: str, item: object) -> bool | None:
        if isinstance(item, h5py.Dataset):
            found.append(f"/{name}  {' x '.join(map(str, item.shape)) or 'one value'}  {item.dtype}")
        return True if len(found) >= _MOST_DATASETS else None

    with h5py.File(path, "r", locking=False) as file:
        file.visititems(note)
    return "The recipe names nothing in it to be drawn. It holds:\n" + "\n".join(found)


def _beginning(path: Path) -> str:
    with open(path, "rb") as file:
        text = file.read(_MOST_TEXT_BYTES + 1)
    more = "\n[...]" if len(text) > _MOST_TEXT_BYTES else ""
    return text[:_MOST_TEXT_BYTES].decode("utf-8", errors="replace") + more
