"""CorMap, the correlation map of BioSAXS: are two I(q) the same but for noise? Something to look at, not to judge by.

Only the signs of their differences count: the longest run of equal signs along q is compared with that of a fair coin
(Franke, Jeffries and Svergun, Nature Methods 12, 419, 2015; Schilling 1990 for the coin), so no errors are needed.
Speckle that is slow, or wider than a bin, makes neighbours alike and p too small; and p is made anew all the time. The
verdict does not use it. The computation is that of the optional package freesas.
"""

from __future__ import annotations

import numpy as np

try:
    from freesas import cormap
except ImportError:
    cormap = None

_FEWEST_POINTS = 10
_MOST_POINTS = 250


def cormap_p_value(first: np.ndarray, now: np.ndarray, pixels: np.ndarray) -> float | None:
    """Probability of a run of equal signs at least as long as that of the difference, if only noise differs.

    Both curves are first brought to the same number of photons: the incident beam is no difference.

    Parameters
    ----------
    first, now : ndarray, shape (q,)
        Photons per pixel and frame, of frames that do not overlap.
    pixels : ndarray, shape (q,)
        Of each bin; bins without a photon in one of the curves are left out.

    Returns
    -------
    float or None
        ``None`` where freesas is not installed, or fewer than ten bins have photons.
    """
    lit = (first > 0) & (now > 0)
    if cormap is None or np.count_nonzero(lit) < _FEWEST_POINTS:
        return None
    weight = pixels[lit] / pixels[lit].sum()
    difference = now[lit] / (weight @ now[lit]) - first[lit] / (weight @ first[lit])
    # The coin is worked out by recursion, which many bins would take too far.
    step = -(-difference.size // _MOST_POINTS)
    edges = np.arange(0, difference.size, step)
    difference = np.add.reduceat(weight * difference, edges)
    return float(cormap.gof(np.zeros_like(difference), difference).P)
