"""Writes what becomes known of the series into the ledger, and looks up what it knows of earlier ones."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial

from backend.across_parts import sample_part
from backend.frames import SourceNotice
from backend.ledger import Ledger
from backend.series_numbers import record_of
from backend.series_record import SeriesRecord
from backend.series_run import SeriesRun
from backend.snapshot import Verdict
from backend.snapshot_across import SamplePart

_KEEP_EVERY_S = 5.0
_log = logging.getLogger(__name__)

Guard = Callable[[str, Callable[[], object]], None]


class SeriesBook:
    """The memory of one backend; without a ledger it keeps nothing.

    Parameters
    ----------
    guard : callable
        Runs a step by its name: what cannot be stored must not hold up what is shown.

    Attributes
    ----------
    ledger : Ledger or None
        Of the beamtime folder that is there now.
    earlier : tuple of SeriesRecord or None
        Series that began before the one on display, oldest first; ``None`` without a ledger.
    sample : SamplePart or None
        All series of the sample on display.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._kept_at = 0.0
        self.ledger: Ledger | None = None
        self.earlier: tuple[SeriesRecord, ...] | None = None
        self.sample: SamplePart | None = None

    def open(self, ledger: Ledger | None) -> None:
        """Another ledger, or none, from now on."""
        self.ledger = ledger
        self.earlier, self.sample = None, None

    @property
    def motion_notice(self) -> SourceNotice | None:
        """What to tell everybody once the motion of the sample turns out to be driven by the beam."""
        sample = self.sample
        if sample is None:
            return None
        return SourceNotice(
            f"motion-{sample.sample}-{sample.detector}",
            "warning",
            f"{sample.sample}: {sample.words}" if sample.beam_driven else "",
            "No series of it shows damage.",
            "Compare at lower flux: go down with absorbers until the relaxation rate stays the same.",
        )

    def store_verdicts(self, run: SeriesRun, changes: list[Verdict]) -> None:
        """Store verdicts that differ from the one before."""
        for verdict in changes:
            _log.info("%s: %s at frame %d. %s", run.info.name, verdict.state, verdict.frame, verdict.why)
            if self.ledger is not None:
                settings_sha256 = run.analysis.settings.sha256
                record = partial(self.ledger.record_verdict, run.info.name, verdict, settings_sha256)
                self._guard("storing a verdict", partial(record, time.time()))

    def store(self, run: SeriesRun) -> None:
        """Store where a series stands: at its start, when its verdict changes, and at its end."""
        if self.ledger is not None:
            self._guard("storing a series", partial(self.ledger.record_series, run.row()))
            self._guard("storing the numbers of a series", partial(self._store_numbers, self.ledger, run))
            self._guard("comparing series", partial(self._look_up, self.ledger, run))

    def keep(self, run: SeriesRun) -> None:
        """Store the dose of a running series from time to time: a crash shall not undo it."""
        if self.ledger is not None and time.monotonic() - self._kept_at >= _KEEP_EVERY_S:
            self._guard("storing the numbers of a series", partial(self._store_numbers, self.ledger, run))

    def _store_numbers(self, ledger: Ledger, run: SeriesRun) -> None:
        self._kept_at = time.monotonic()
        ledger.record_numbers(record_of(run), time.time())

    def _look_up(self, ledger: Ledger, run: SeriesRun) -> None:
        records = ledger.numbers()
        name, detector = run.info.name, run.info.detector.name
        ours = [place for place, one in enumerate(records) if (one.series, one.detector) == (name, detector)]
        # It is not there when it could not be stored.
        self.earlier = records[: ours[0]] if ours else records
        any_sample = run.analysis.settings.dose.spots_of_any_sample
        self.sample = sample_part(records, run.info.sample, detector, any_sample)
