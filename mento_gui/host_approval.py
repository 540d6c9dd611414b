"""Asks staff about the host key of a cluster that nobody has approved, and stores it when they say so."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from PyQt5.QtCore import QObject, pyqtSignal
from PyQt5.QtWidgets import QWidget

from backend.errors import FeedbackError
from backend.snapshot import Message, Snapshot, UntrustedHost
from widgets.host_key_dialog import HostKeyDialog

if TYPE_CHECKING:
    import paramiko

    from backend.dispatch.ssh_login import SshAddress


class HostApproval(QObject):
    """Asks once for each host that the backend may not talk to; again only when a person wants it.

    ``told`` carries a message for the window, ``failed`` an error.
    """

    told = pyqtSignal(object)
    failed = pyqtSignal(object)
    _fetched = pyqtSignal(object, object)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.dialog = HostKeyDialog(parent)
        self.dialog.approved.connect(self._approve)
        self._fetched.connect(self._ask)
        self._waiting: UntrustedHost | None = None
        self._asked: set[UntrustedHost] = set()
        self._shown: tuple[UntrustedHost, paramiko.PKey] | None = None

    def consider(self, snapshot: Snapshot, _arrived_at: float = 0.0) -> None:
        """Look whether the backend waits for an approval."""
        self._waiting = snapshot.untrusted_host
        if self._waiting is None:
            self.dialog.hide()
        elif self._waiting not in self._asked:
            self._asked.add(self._waiting)
            self._fetch(self._waiting)

    def ask_again(self) -> None:
        """A person wants to be asked now."""
        if self._waiting is None:
            self.told.emit(_message("No host waits for an approval."))
        else:
            self._fetch(self._waiting)

    def _fetch(self, host: UntrustedHost) -> None:
        # A host that does not answer takes its time; the window does not wait for it.
        threading.Thread(target=self._fetch_key, args=(host,), name="host key", daemon=True).start()

    def _fetch_key(self, host: UntrustedHost) -> None:
        from backend.dispatch.ssh_login import ask_host_key

        try:
            self._fetched.emit(host, ask_host_key(host.host, host.port, _way_to(host)))
        except FeedbackError as error:
            self._fetched.emit(host, error)

    def _ask(self, host: UntrustedHost, answer: FeedbackError | paramiko.PKey) -> None:
        from backend.dispatch.host_keys import fingerprint, host_entry

        if isinstance(answer, FeedbackError):
            self.failed.emit(answer)
            return
        key: paramiko.PKey = answer
        self._shown = (host, key)
        self.dialog.ask(
            host_entry(host.host, host.port),
            key.get_name(),
            fingerprint(key),
            through="" if host.jump is None else host_entry(host.jump.host, host.jump.port),
        )

    def _approve(self) -> None:
        from backend.dispatch.host_keys import approve_host, host_entry

        if self._shown is None:
            return
        host, key = self._shown
        try:
            # The very key whose fingerprint was shown; the host is not asked a second time.
            approve_host(Path(host.known_hosts), host.host, host.port, key)
        except FeedbackError as error:
            self.failed.emit(error)
            return
        self.told.emit(
            _message(f"{host_entry(host.host, host.port)} is approved; jobs go there at the next try.")
        )


def _way_to(host: UntrustedHost) -> SshAddress | None:
    from backend.dispatch.ssh_login import SshAddress

    jump = host.jump
    if jump is None:
        return None
    return SshAddress(jump.host, jump.port, jump.user, Path(jump.key_file), Path(host.known_hosts))


def _message(what: str) -> Message:
    return Message(key="window:host-approval", level="info", what=what, at=time.time())
