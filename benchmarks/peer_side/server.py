"""Obeys one JSON line after the other: ``{"name": ..., "arguments": {...}}``; answers with one line each."""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

# Module and function of each name; loaded when first asked for, so that torch is only there for who needs it.
_FUNCTIONS = {
    "load_movie": "sparse_chain",
    "run_chain": "sparse_chain",
    "run_decode": "sparse_chain",
    "load_events": "two_time",
    "run_two_time_sparse": "two_time",
    "run_two_time_dense": "two_time",
    "load_frames": "dense",
    "run_dense": "dense",
    "correlate_by_scikit_beam": "scikit_beam",
    "correlate_by_xpcs_correlator": "xpcs_correlator",
    "versions": "versions",
}


def _function(name: str) -> Callable[..., dict[str, Any]]:
    module = importlib.import_module(f"benchmarks.peer_side.{_FUNCTIONS[name]}")
    function: Callable[..., dict[str, Any]] = getattr(module, name)
    return function


def _answer(line: str) -> dict[str, Any]:
    wish = json.loads(line)
    try:
        return _function(wish["name"])(**wish["arguments"])
    except Exception:  # noqa: BLE001 - whatever a peer raises goes to the other side as text and ends the run there
        return {"error": traceback.format_exc()}


def main() -> None:
    # The packages print; only answers may go to the real standard output.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in sys.stdin:
        print(json.dumps(_answer(line)), file=answers, flush=True)


if __name__ == "__main__":
    main()
