"""The pool has a thread per processor, and nobody else has any."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_info

from backend.worker_pool import processors, worker_pool


def test_linear_algebra_has_no_threads_of_its_own() -> None:
    pool = worker_pool()
    assert pool is worker_pool()
    assert len(set(pool.map(lambda number: number, range(4 * processors())))) == 4 * processors()
    assert np.linalg.svd(np.eye(3))[1].tolist() == [1.0, 1.0, 1.0]
    libraries = [library for library in threadpool_info() if library["user_api"] == "blas"]
    assert libraries
    assert all(library["num_threads"] == 1 for library in libraries)
