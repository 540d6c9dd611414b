"""The threads that share the heavy work of the analysis: one pool for the whole program, and whoever has the work."""

from __future__ import annotations

import functools
import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor, wait
from typing import TypeVar

from threadpoolctl import threadpool_limits

_SHARES = 4
"""A share is this part of what is left for each thread."""
_FINEST = 32
"""No share is smaller than this part of the work of a thread."""

_Piece = TypeVar("_Piece")
_Part = TypeVar("_Part")


@functools.cache
def worker_pool() -> ThreadPoolExecutor:
    """The pool; its threads are started when they are first needed and end with the program.

    Linear algebra must not start threads of its own from now on: for matrices as small as ours they only wait, at full
    speed, on the processors that the frames need.
    """
    threadpool_limits(1, user_api="blas")
    return ThreadPoolExecutor(processors(), thread_name_prefix="worker")


def processors() -> int:
    """Processors that this process may use: a batch job often gets fewer than the machine has."""
    return len(os.sched_getaffinity(0))


def shrinking_shares(pieces: int, threads: int) -> list[tuple[int, int]]:
    """Ranges of pieces, (first, last excluded), for threads that take one after the other.

    Large ones come first, so that there are few of them; small ones last, so that no thread has to wait long for the
    last one of another.
    """
    smallest = max(1, pieces // (_FINEST * threads))
    shares, first = [], 0
    while first < pieces:
        left = pieces - first
        size = max(smallest, left // (_SHARES * threads)) if threads > 1 else left
        last = min(pieces, first + size)
        shares.append((first, last))
        first = last
    return shares


def equal_shares(pieces: int, shares: int) -> list[tuple[int, int]]:
    """Ranges of pieces, (first, last excluded), about equally large, whatever the number of threads.

    Where each share adds up fractions, the sum is always the same.
    """
    edges = sorted({share * pieces // shares for share in range(shares + 1)})
    return list(itertools.pairwise(edges))


def share_out(
    pool: Executor | None, work: Callable[[_Piece], _Part], pieces: Iterable[_Piece]
) -> list[_Part]:
    """What ``work`` makes of each piece, in their order; by all processors, or by the caller alone without a pool.

    The caller works as well, and every thread takes one piece after the other: being woken up for each of them would
    take longer than some pieces do.

    Raises
    ------
    BaseException
        What ``work`` raised; nobody works any more then.
    """
    waiting = deque(enumerate(pieces))
    made: dict[int, _Part] = {}

    def work_off() -> None:
        while waiting:
            try:
                number, piece = waiting.popleft()
            except IndexError:
                return
            made[number] = work(piece)

    helpers = 0 if pool is None else min(processors(), len(waiting)) - 1
    others = [pool.submit(work_off) for _ in range(helpers)] if pool is not None else []
    try:
        work_off()
    finally:
        waiting.clear()
        # One that has not begun, as the pool has other work, is not needed any more.
        begun = [other for other in others if not other.cancel()]
        wait(begun)
    for other in begun:
        other.result()
    return [made[number] for number in sorted(made)]
