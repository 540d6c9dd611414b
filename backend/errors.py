"""One base class for everything that can be told to a user: what happened, what still works, what to try."""

from __future__ import annotations


class FeedbackError(Exception):
    """A failure explained in words, raised low and shown once at the edge (banner, message list or headless log).

    Parameters
    ----------
    what : str
        What happened, naming the file or setting, in one sentence.
    still_works : str
        What is not affected.
    try_this : str
        The next step a person can take.
    """

    def __init__(self, what: str, *, still_works: str = "", try_this: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.still_works = still_works
        self.try_this = try_this

    def __str__(self) -> str:
        """All three sentences that are filled in, on one line."""
        return " ".join(part for part in (self.what, self.still_works, self.try_this) if part)

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the keyword arguments when a worker process sends the error back."""
        return _rebuild, (type(self), self.what, self.still_works, self.try_this)


def _rebuild(cls: type[FeedbackError], what: str, still_works: str, try_this: str) -> FeedbackError:
    return cls(what, still_works=still_works, try_this=try_this)


class SettingsError(FeedbackError):
    """A settings file or value cannot be used."""


class BeamtimeError(FeedbackError):
    """The beamtime folder or its metadata cannot be used."""


class SeriesError(FeedbackError):
    """A series, or one file of it, cannot be used."""


class DecodeError(FeedbackError):
    """A frame cannot be decoded."""


class GeometryError(FeedbackError):
    """Beam centre, distance, wavelength or pixel size make no sense together."""


class DispatchError(FeedbackError):
    """A recipe, job or result cannot be used."""


class BackendUnreachableError(FeedbackError):
    """No backend answers on the wire."""
