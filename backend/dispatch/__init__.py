"""Jobs: recipes, ledger of intents, executors and the intake of results.

``submit`` hands a command to the running backend; it is loaded only when it is asked for, as the nodes of a cluster
load this package without the wire.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "submit":
        from backend.submission import submit

        return submit
    raise AttributeError(f"module {__name__} has no attribute {name}")
