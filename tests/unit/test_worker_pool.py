"""The pool has a thread per processor, and nobody else has any; pieces of work go over them and come back in order."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from backend.worker_pool import equal_shares, processors, share_out, shrinking_shares, worker_pool


def test_linear_algebra_has_no_threads_of_its_own() -> None:
    pool = worker_pool()
    assert pool is worker_pool()
    assert len(set(pool.map(lambda number: number, range(4 * processors())))) == 4 * processors()
    assert np.linalg.svd(np.eye(3))[1].tolist() == [1.0, 1.0, 1.0]
    libraries = [library for library in threadpool_info() if library["user_api"] == "blas"]
    assert libraries
    assert all(library["num_threads"] == 1 for library in libraries)


@given(pieces=st.lists(st.integers()), with_pool=st.booleans())
def test_work_comes_back_in_the_order_of_its_pieces(pieces: list[int], with_pool: bool) -> None:
    pool = worker_pool() if with_pool else None
    assert share_out(pool, lambda piece: 2 * piece, iter(pieces)) == [2 * piece for piece in pieces]


@pytest.mark.skipif(processors() < 2, reason="one processor has nobody to share with")
def test_all_processors_work_and_the_caller_is_one_of_them() -> None:
    number = min(2, processors())
    all_at_work = threading.Barrier(number, timeout=60)

    def work(_: int) -> int:
        all_at_work.wait()
        return threading.get_ident()

    assert threading.get_ident() in share_out(worker_pool(), work, range(number))


def test_a_busy_pool_is_not_waited_for() -> None:
    free = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(free.wait)
        assert share_out(pool, str, range(10)) == [str(number) for number in range(10)]
        free.set()


@pytest.mark.parametrize("with_pool", [False, True])
def test_what_goes_wrong_is_raised_once_nobody_works_any_more(with_pool: bool) -> None:
    at_work: set[int] = set()

    def work(piece: int) -> None:
        at_work.add(piece)
        try:
            if piece == 3:
                raise ValueError("piece 3 is broken")
        finally:
            at_work.discard(piece)

    with pytest.raises(ValueError, match="piece 3 is broken"):
        share_out(worker_pool() if with_pool else None, work, range(50))
    assert not at_work


@given(pieces=st.integers(0, 5000), threads=st.integers(1, 130))
def test_shares_cover_all_pieces_and_do_not_grow(pieces: int, threads: int) -> None:
    shares = shrinking_shares(pieces, threads)
    assert [piece for share in shares for piece in range(*share)] == list(range(pieces))
    sizes = [last - first for first, last in shares]
    assert sizes == sorted(sizes, reverse=True)
    assert all(size > 0 for size in sizes)
    if threads == 1:
        assert len(shares) == (pieces > 0)
    elif pieces >= 64 * threads:
        # The last share is a small part of what a thread does.
        assert sizes[-1] <= pieces / threads / 16


@given(pieces=st.integers(0, 5000), shares=st.integers(1, 40))
def test_equal_shares_cover_all_pieces_and_differ_by_one_at_most(pieces: int, shares: int) -> None:
    made = equal_shares(pieces, shares)
    assert [piece for share in made for piece in range(*share)] == list(range(pieces))
    assert len(made) == min(pieces, shares)
    sizes = [last - first for first, last in made]
    assert max(sizes, default=0) - min(sizes, default=0) <= 1
