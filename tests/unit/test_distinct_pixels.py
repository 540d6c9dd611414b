from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from backend.photon_events import distinct_pixels

_parts = st.lists(st.lists(st.integers(0, 5000), max_size=20), max_size=5)


@given(_parts)
def test_each_pixel_comes_once_in_order(parts: list[list[int]]) -> None:
    found = distinct_pixels(np.array(part, np.uint32) for part in parts)
    assert found.dtype == np.uint32
    assert found.tolist() == sorted({pixel for part in parts for pixel in part})
