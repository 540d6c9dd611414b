"""The threads that share the heavy work of the analysis: one pool for the whole program, one thread per processor."""

from __future__ import annotations

import functools
import os
from concurrent.futures import ThreadPoolExecutor


@functools.cache
def worker_pool() -> ThreadPoolExecutor:
    """The pool; its threads are started when they are first needed and end with the program."""
    return ThreadPoolExecutor(processors(), thread_name_prefix="worker")


def processors() -> int:
    """Processors that this process may use: a batch job often gets fewer than the machine has."""
    return len(os.sched_getaffinity(0))
