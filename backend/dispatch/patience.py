"""What the cluster's executor remembers of a job from one look to the next."""

from __future__ import annotations

from dataclasses import dataclass

from backend.dispatch.backoff import Backoff


@dataclass(slots=True)
class Patience:
    """What is remembered of one job between two looks; all of it may be forgotten without harm."""

    pause: Backoff
    refusals: int = 0
    refusal: str = ""
    unseen_since: float | None = None
    over_since: float | None = None
    out_of_sight_since: float | None = None
    cancelled_at_look: int = -1
    waits_again_since: float | None = None
    withdrawn: str = ""
