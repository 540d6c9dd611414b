"""What may travel back from a client to the backend. Small, typed, answered one by one."""

from __future__ import annotations

import msgspec


class Request(msgspec.Struct, frozen=True, tag_field="request", kw_only=True):
    """Base of all requests; the tag names the kind on the wire."""


class Ping(Request, frozen=True, tag="ping"):
    """Is anyone there?"""


class GetStatus(Request, frozen=True, tag="status"):
    """The newest snapshot without its images, as JSON (what ``mento-gui status`` prints)."""


class SelectRing(Request, frozen=True, tag="select-ring"):
    """Show the two-time map of this ring (index from 0, smallest q first)."""

    ring: int


class AcknowledgeMessage(Request, frozen=True, tag="acknowledge"):
    """The person has seen the message with this key."""

    key: str


class RunRecipe(Request, frozen=True, tag="run-recipe"):
    """Run a recipe on a series that was seen before."""

    series: str
    recipe: str


class ChooseRecipe(Request, frozen=True, tag="choose-recipe"):
    """Let a recipe run by itself for every coming series, or no longer."""

    recipe: str
    runs: bool


class SubmitCommand(Request, frozen=True, tag="submit-command"):
    """Run a command of a person's own as a job.

    ``token`` names the wish: asked again with the same one, there is still one job. ``name`` is for the job table and
    for the folder of its files. ``outputs`` are patterns of files to take in. ``series`` is what placeholders stand
    for; "" means the newest one.
    """

    token: str
    name: str
    command: tuple[str, ...]
    executor: str = "local"
    time_limit_s: float | None = None
    outputs: tuple[str, ...] = ()
    series: str = ""


class CancelJob(Request, frozen=True, tag="cancel-job"):
    """Stop a job that has not ended."""

    job_id: str


class ResumeJob(Request, frozen=True, tag="resume-job"):
    """Try a parked job again, or one that failed or was cancelled as a new attempt."""

    job_id: str


class TakeSettings(Request, frozen=True, tag="take-settings"):
    """Read the settings from this file for the series that come; ``author`` is who has changed them."""

    file: str
    author: str


class InspectJob(Request, frozen=True, tag="inspect-job"):
    """All that is known of a job and the end of its log, as :class:`backend.job_details.JobDetails` in JSON."""

    job_id: str


class Shutdown(Request, frozen=True, tag="shutdown"):
    """End the backend in good order."""


AnyRequest = (
    Ping
    | GetStatus
    | SelectRing
    | AcknowledgeMessage
    | RunRecipe
    | ChooseRecipe
    | SubmitCommand
    | CancelJob
    | ResumeJob
    | TakeSettings
    | InspectJob
    | Shutdown
)


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one request; ``message`` is a sentence for the person when ``ok`` is false."""

    ok: bool
    message: str = ""
    try_this: str = ""
    payload: bytes = b""
