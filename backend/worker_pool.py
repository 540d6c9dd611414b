"""The threads that share the heavy work of the analysis: one pool for the whole program, one thread per processor."""

from __future__ import annotations

import functools
import os
from concurrent.futures import ThreadPoolExecutor

from threadpoolctl import threadpool_limits


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
