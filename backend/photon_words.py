"""Photons turned on their side: for every pixel one 64-bit word holds 64 frames.

Bit t of plane k is bit k of the pixel's count in frame t of the word. What a correlator does to single frames becomes
work on whole words: a shift is a lag, AND with a popcount is a sum of products over 64 frames. Pixels stand in an
order of their own (:class:`backend.pixel_order.PixelOrder`).

Where photons are few, nearly all words would be empty, and going through them would be waiting for memory. Then the
photons stand in a sorted list (:mod:`backend.sorted_photons`), and the words are only made when somebody asks for them.
"""

from __future__ import annotations

import threading

import numpy as np

from backend.photon_word_kernels import clear_higher_planes, forget, write_photons
from backend.pixel_order import PixelOrder
from backend.sorted_photons import MOST_POSITIONS, joined, no_photons, planes_of, without_frames
from backend.sparse_memory import zeros_when_touched

WORD_FRAMES = 64
PLANES = 16
HIGHEST_COUNT = (1 << PLANES) - 1
_FULL_PLANES = 1
_FEW_PHOTONS = 0.2
"""Photons per pixel and word up to which the next word begins as a list. At 0.06 a list takes two thirds of the time;
where both ways take the same has not been measured."""
_LOOKED_AT = 509
"""One of so many words tells how many photons there are."""


class _Word:
    """64 frames of all pixels.

    Attributes
    ----------
    photons : ndarray or None, shape (photon,), uint32
        Sorted; ``None`` = only the bits hold them.
    planes : int
        Planes in use.
    """

    def __init__(self, positions: int) -> None:
        # The system gives memory when it is first touched: planes above the first are rarely used.
        self._bits = zeros_when_touched((PLANES, positions), np.uint64, full=_FULL_PLANES)
        self._many = np.zeros(positions, np.uint8)
        self._may_list = positions < MOST_POSITIONS
        self.photons: np.ndarray | None = None
        self.planes = 1
        # Of a list: the bits say something else. Otherwise: the first plane holds anything.
        self._void = False
        self._touched = False
        self._lock = threading.Lock()

    def begin(self, *, listed: bool) -> None:
        """Empty it."""
        self._clear_higher_planes()
        self.photons = no_photons() if listed and self._may_list else None
        self.planes = 1
        self._void = True

    def add_photons(self, photons: np.ndarray) -> None:
        """Add to the list, which there must be."""
        assert self.photons is not None
        self.photons = joined(self.photons, photons)
        self.planes = planes_of(self.photons)
        self._void = True

    def bits_and_flags(self) -> tuple[np.ndarray, np.ndarray]:
        """Bits of all planes, and flags of the higher ones; made from the list if need be."""
        if self.photons is not None and self._void:
            # Several threads may ask at once.
            with self._lock:
                if self._void:
                    self._clear_higher_planes()
                    self._bits[0] = 0
                    write_photons(self.photons, self._bits, self._many)
                    self._void = False
        # Who has them may write to them.
        self._touched = True
        return self._bits, self._many

    def _clear_higher_planes(self) -> None:
        if self._touched:
            clear_higher_planes(self._bits, self._many, self.planes)
            self._touched = False

    def hold_bits(self) -> None:
        """From now on there is no list."""
        self.bits_and_flags()
        self.photons = None

    def begin_writing(self) -> bool:
        """True when the first plane is void, which it then no longer is; there must be no list."""
        void, self._void = self._void, False
        return void

    def forget(self, bits: int) -> None:
        """Take frames out again."""
        if self.photons is None:
            forget(np.uint64(bits), self._bits, self._many, self.planes)
        else:
            self.photons = without_frames(self.photons, bits)
            self._void = True

    def is_sparse(self) -> bool:
        """Whether photons are so few that a list of them is less work than their bits."""
        if self.photons is not None:
            return self.photons.size < _FEW_PHOTONS * self._many.size
        some = self._bits[0, ::_LOOKED_AT]
        return bool(np.bitwise_count(some).sum() < _FEW_PHOTONS * some.size)


class PhotonWords:
    """The newest word of every pixel and the one before it.

    Frames are written into bits of :attr:`now`, one after the other, or listed; after the 64th, :meth:`turn` makes it
    the word before. Planes above the first are touched only where a pixel had two photons or more, so they cost memory
    only there.

    Parameters
    ----------
    order : PixelOrder
        Places of the pixels.
    """

    def __init__(self, order: PixelOrder) -> None:
        self.order = order
        self._now, self._before = _Word(order.positions), _Word(order.positions)

    @property
    def now(self) -> np.ndarray:
        """Counts in bits, shape (plane, position), uint64; bit 0 is the first frame of the word."""
        return self._now.bits_and_flags()[0]

    @property
    def before(self) -> np.ndarray:
        """The same of the word before."""
        return self._before.bits_and_flags()[0]

    @property
    def many_now(self) -> np.ndarray:
        """Planes above the first in which a pixel may have bits, as :func:`flag_of` tells them; 0 for most pixels.

        Shape (position,), uint8.
        """
        return self._now.bits_and_flags()[1]

    @property
    def many_before(self) -> np.ndarray:
        """The same of the word before."""
        return self._before.bits_and_flags()[1]

    @property
    def photons_now(self) -> np.ndarray | None:
        """The photons of the newest word as a sorted list, uint32; ``None`` where they are too many for one."""
        return self._now.photons

    @property
    def photons_before(self) -> np.ndarray | None:
        """The same of the word before."""
        return self._before.photons

    @property
    def planes(self) -> int:
        """Planes that are in use in either word."""
        return max(self._now.planes, self._before.planes)

    def turn(self) -> None:
        """The word is full: it becomes the word before, and a new empty one begins."""
        self.settle()
        listed = self._now.is_sparse()
        self._now, self._before = self._before, self._now
        self._now.begin(listed=listed)

    def list_photons(self, photons: np.ndarray) -> None:
        """Add new photons, sorted, to those of the newest word, which must be a list."""
        self._now.add_photons(photons)

    def begin_writing(self) -> bool:
        """From now on there is no list. True when the first plane is void.

        Then all positions of pixels have to be written, whatever they held.
        """
        if self._now.photons is not None:
            self._now.hold_bits()
        return self._now.begin_writing()

    def settle(self) -> None:
        """All frames so far are written: a word into which nobody has written holds nothing."""
        if self._now.photons is None and self._now.begin_writing():
            self.now[0] = 0

    def note_planes(self, planes: int) -> None:
        """Tell that this many planes were written to."""
        self._now.planes = max(self._now.planes, planes)

    def forget(self, bits: int) -> None:
        """Take frames out again; ``bits`` has a 1 for each."""
        self._now.forget(bits)
