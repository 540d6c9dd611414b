"""Reads single fields of a detector file with their units and says in words which of them make no sense."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import h5py
import numpy as np

from backend.acquisition.hdf5_file import HDF5_FAULTS, reason_in_words

METRES: Mapping[str, float] = MappingProxyType(
    {
        **dict.fromkeys(("m", "metre", "meter", "metres", "meters"), 1.0),
        **{"cm": 1e-2, "mm": 1e-3, "millimeter": 1e-3, "um": 1e-6, "µm": 1e-6, "μm": 1e-6, "micron": 1e-6},
        **{"nm": 1e-9, "angstrom": 1e-10, "angstroms": 1e-10, "a": 1e-10, "å": 1e-10, "pm": 1e-12},
    }
)
SECONDS: Mapping[str, float] = MappingProxyType(
    {
        "s": 1.0,
        "sec": 1.0,
        "second": 1.0,
        "seconds": 1.0,
        "ms": 1e-3,
        "us": 1e-6,
        "µs": 1e-6,
        "μs": 1e-6,
        "ns": 1e-9,
    }
)
KILOELECTRONVOLTS: Mapping[str, float] = MappingProxyType({"ev": 1e-3, "kev": 1.0, "mev": 1e3})
PIXELS: Mapping[str, float] = MappingProxyType({"pixel": 1.0, "pixels": 1.0, "px": 1.0})
NO_UNIT: Mapping[str, float] = MappingProxyType({"": 1.0, "1": 1.0, "dimensionless": 1.0})

_MOST_NUMBERS = 1 << 24
# Detectors send a single mask of this many pixels at most; more is a damaged or foreign file.
_LARGEST_IMAGE_PIXELS = 1 << 28


class FieldReader:
    """Gives the fields of one open file; ``notices`` collects sentences about fields that were set aside.

    Every method takes the paths a field is known under, the first one that exists counts. A missing field is
    ``None`` without a notice, a field that is there but makes no sense is ``None`` with one.
    """

    def __init__(self, file: h5py.File, name: str) -> None:
        self._file = file
        self._name = name
        self.notices: list[str] = []

    def quantity(
        self, paths: Sequence[str], units: Mapping[str, float], default_unit: str, low: float, high: float
    ) -> float | None:
        """Return a number in the base unit of ``units``, if it lies from ``low`` to ``high`` (base unit)."""
        dataset = self._dataset(paths)
        if dataset is None:
            return None
        number = self._number(dataset)
        unit = self._unit(dataset) or default_unit
        if number is None:
            return None
        if unit.lower() not in units:
            self._set_aside(dataset, f"is given in {unit!r}, a unit that is not understood here")
            return None
        value = number * units[unit.lower()]
        if not low <= value <= high:
            self._set_aside(dataset, f"is {number:g} {unit}".rstrip() + ", which cannot be")
            return None
        return value

    def count(self, paths: Sequence[str], low: int, high: int) -> int | None:
        """Return a whole number from ``low`` to ``high``."""
        number = self.quantity(paths, NO_UNIT, "", low, high)
        return None if number is None else int(number)

    def text(self, paths: Sequence[str]) -> str | None:
        """Return a text field."""
        dataset = self._dataset(paths)
        if dataset is None:
            return None
        try:
            value = dataset[()] if dataset.size == 1 else None
        except HDF5_FAULTS as error:
            self._set_aside(dataset, f"cannot be read: {reason_in_words(error)}")
            return None
        if isinstance(value, np.ndarray):
            value = value.ravel()[0]
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else None

    def image(self, paths: Sequence[str]) -> np.ndarray | None:
        """Return a two-dimensional array of integers."""
        dataset = self._dataset(paths)
        if dataset is None:
            return None
        if (
            dataset.ndim != 2
            or dataset.dtype.kind not in "uib"
            or not 0 < dataset.size <= _LARGEST_IMAGE_PIXELS
        ):
            self._set_aside(dataset, f"is no image (shape {dataset.shape}, type {dataset.dtype})")
            return None
        try:
            return np.asarray(dataset[()])
        except HDF5_FAULTS as error:
            self._set_aside(dataset, f"cannot be read: {reason_in_words(error)}")
            return None

    def shape(self, paths: Sequence[str]) -> tuple[int, ...] | None:
        """Return the shape of an array without reading it."""
        dataset = self._dataset(paths)
        return None if dataset is None else tuple(int(length) for length in dataset.shape)

    def pixel_type(self, paths: Sequence[str]) -> np.dtype | None:
        """Return the native type of an array of unsigned integers without reading it."""
        dataset = self._dataset(paths)
        if dataset is None or dataset.dtype.kind != "u" or dataset.dtype.itemsize > 4:
            return None
        return dataset.dtype.newbyteorder("=")

    def integers(self, paths: Sequence[str], length: int) -> tuple[int, ...] | None:
        """Return a short list of whole numbers of known length."""
        dataset = self._dataset(paths)
        if dataset is None or dataset.shape != (length,) or dataset.dtype.kind not in "ui":
            return None
        return tuple(int(number) for number in dataset[()])

    def ascending(
        self, paths: Sequence[str], units: Mapping[str, float], default_unit: str
    ) -> np.ndarray | None:
        """Return a list of at least two numbers in the base unit of ``units``, each larger than the one before.

        float64, shape (number,), read-only; a shorter list says nothing and is ``None`` without a notice.
        """
        dataset = self._dataset(paths)
        values = self._list(dataset)
        if dataset is None or values is None:
            return None
        unit = (self._unit(dataset) or default_unit).lower()
        if unit not in units:
            self._set_aside(dataset, f"is given in {unit!r}, a unit that is not understood here")
            return None
        values = values * units[unit]
        if not np.isfinite(values).all() or not (np.diff(values) > 0).all():
            self._set_aside(dataset, "does not ascend from number to number")
            return None
        values.flags.writeable = False
        return values

    def positive(self, paths: Sequence[str]) -> np.ndarray | None:
        """Return a list of at least two numbers, none of them negative, as in :meth:`ascending`; nan is allowed."""
        dataset = self._dataset(paths)
        values = self._list(dataset)
        if dataset is None or values is None:
            return None
        if np.isinf(values).any() or (values < 0).any() or not (values > 0).any():
            self._set_aside(dataset, "has numbers that no monitor counts")
            return None
        values.flags.writeable = False
        return values

    def _list(self, dataset: h5py.Dataset | None) -> np.ndarray | None:
        if dataset is None or dataset.shape is None or dataset.size < 2:
            return None
        if dataset.ndim != 1 or dataset.dtype.kind not in "uif" or dataset.size > _MOST_NUMBERS:
            self._set_aside(dataset, f"is no list of numbers (shape {dataset.shape}, type {dataset.dtype})")
            return None
        try:
            return np.asarray(dataset[()], np.float64)
        except HDF5_FAULTS as error:
            self._set_aside(dataset, f"cannot be read: {reason_in_words(error)}")
            return None

    def _dataset(self, paths: Sequence[str]) -> h5py.Dataset | None:
        for path in paths:
            try:
                item = self._file.get(path)
            except HDF5_FAULTS as error:
                self.notices.append(f"{path} in {self._name} cannot be read: {reason_in_words(error)}.")
                continue
            if isinstance(item, h5py.Dataset):
                return item
        return None

    def _number(self, dataset: h5py.Dataset) -> float | None:
        if dataset.size != 1 or dataset.dtype.kind not in "uifb":
            self._set_aside(dataset, "is not a single number")
            return None
        try:
            number = float(np.asarray(dataset[()]).ravel()[0])
        except HDF5_FAULTS as error:
            self._set_aside(dataset, f"cannot be read: {reason_in_words(error)}")
            return None
        if not math.isfinite(number):
            self._set_aside(dataset, "is not a finite number")
            return None
        return number

    def _unit(self, dataset: h5py.Dataset) -> str:
        try:
            unit = dataset.attrs.get("units", "")
        except HDF5_FAULTS as error:
            self._set_aside(dataset, f"has a unit that cannot be read: {reason_in_words(error)}")
            return "?"
        if isinstance(unit, np.ndarray) and unit.size == 1:
            unit = unit.ravel()[0]
        return (unit.decode("utf-8", "replace") if isinstance(unit, bytes) else str(unit)).strip()

    def _set_aside(self, dataset: h5py.Dataset, why: str) -> None:
        field = str(dataset.name).rsplit("/", 1)[-1]
        self.notices.append(f"{field} in {self._name} {why}; it is not used.")
