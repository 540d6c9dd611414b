"""Photons turned on their side: for every pixel one 64-bit word holds 64 frames.

Bit t of plane k is bit k of the pixel's count in frame t of the word. What a correlator does to single frames becomes
work on whole words: a shift is a lag, AND with a popcount is a sum of products over 64 frames. Pixels stand in an
order of their own (:class:`backend.pixel_order.PixelOrder`).
"""

from __future__ import annotations

import numpy as np

from backend.photon_word_kernels import clear_higher_planes, forget, put
from backend.pixel_order import PixelOrder
from backend.sparse_memory import zeros_when_touched

WORD_FRAMES = 64
PLANES = 16
HIGHEST_COUNT = (1 << PLANES) - 1
_FULL_PLANES = 1


class PhotonWords:
    """The newest word of every pixel and the one before it.

    Frames are written into bits of :attr:`now`, one after the other; after the 64th, :meth:`turn` makes it the word
    before. Planes above the first are touched only where a pixel had two photons or more, so they cost memory only
    there.

    Parameters
    ----------
    order : PixelOrder
        Places of the pixels.

    Attributes
    ----------
    now, before : ndarray, shape (plane, position), uint64
        Counts in bits; bit 0 is the first frame of the word.
    many_now, many_before : ndarray, shape (position,), uint8
        Planes above the first in which a pixel has bits, as :func:`flag_of` tells them; 0 for most pixels.
    """

    def __init__(self, order: PixelOrder) -> None:
        self.order = order
        # The system gives memory when it is first touched: planes above the first are rarely used.
        shape = (PLANES, order.positions)
        self.now, self.before = (zeros_when_touched(shape, np.uint64, full=_FULL_PLANES) for _ in range(2))
        self.now[0] = self.before[0] = 0
        self.many_now, self.many_before = (np.zeros(order.positions, np.uint8) for _ in range(2))
        self._planes_now = self._planes_before = 1
        self._void = False

    @property
    def planes(self) -> int:
        """Planes that are in use in either word."""
        return max(self._planes_now, self._planes_before)

    def turn(self) -> None:
        """The word is full: it becomes the word before, and a new empty one begins."""
        self.settle()
        self.now, self.before = self.before, self.now
        self.many_now, self.many_before = self.many_before, self.many_now
        clear_higher_planes(self.now, self.many_now, self._planes_before)
        self._planes_before, self._planes_now = self._planes_now, 1
        self._void = True

    def begin_writing(self) -> bool:
        """True when the first plane is void: then all positions of pixels have to be written, whatever they held."""
        void, self._void = self._void, False
        return void

    def settle(self) -> None:
        """All frames so far are written: a word into which nobody has written holds nothing."""
        if self.begin_writing():
            self.now[0] = 0

    def note_planes(self, planes: int) -> None:
        """Tell that this many planes were written to."""
        self._planes_now = max(self._planes_now, planes)

    def put(self, bit: int, pixel: np.ndarray, count: np.ndarray) -> None:
        """Write a frame, given as photon events of flat detector pixels; counts up to HIGHEST_COUNT."""
        self.settle()
        self.note_planes(int(count.max(initial=0)).bit_length())
        put(bit, self.order.position_of_pixel[pixel], count, self.now, self.many_now)

    def forget(self, bits: int) -> None:
        """Take frames out again; ``bits`` has a 1 for each."""
        forget(np.uint64(bits), self.now, self.many_now, self._planes_now)
