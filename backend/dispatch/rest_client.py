"""Asks slurmrestd over HTTP: no redirects, no proxies, and the token only over an encrypted or a local connection."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from backend.dispatch.token_file import read_token
from backend.dispatch.transport import TransportError
from backend.errors import DispatchError

_ANSWER_S = 30.0
_LARGEST_ANSWER_BYTES = 256 * 1024 * 1024
_STILL_WORKS = "Live pictures, the verdict and local jobs go on; jobs for the cluster wait."
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class RestAddress:
    """Where slurmrestd is, in which version of its interface and as whom it is spoken to.

    ``url`` without the part of the version, for instance ``https://max-slurm-rest.desy.de/sapi``. The token is read
    anew for each question, so that it can be renewed, and never kept or logged.
    """

    url: str
    version: str
    user: str
    token_file: Path


class RestAnswer(NamedTuple):
    """What was said. ``status`` is ``None`` when the fate of the question is unknown: it may have been heard or not."""

    status: int | None
    document: dict[str, Any]
    message: str


class RestClient:
    """One question at a time, each over a connection of its own."""

    def __init__(self, address: RestAddress) -> None:
        self._address = address
        parts = urlsplit(address.url)
        host = parts.hostname
        if (
            parts.scheme not in ("http", "https")
            or not host
            or (parts.scheme == "http" and host not in _LOCAL_HOSTS)
        ):
            raise DispatchError(
                f"{address.url} is not the address of a slurmrestd that a token may be sent to.",
                still_works="Live pictures, the verdict and local jobs go on.",
                try_this="Write rest_url in section [cluster] of the settings as https://HOST/PATH.",
            )
        self._encrypted = parts.scheme == "https"
        self._host = host
        self._port = parts.port
        self._base = f"{parts.path.rstrip('/')}/slurm/{address.version}"

    @property
    def place(self) -> str:
        """User and address, for sentences."""
        return f"{self._address.user} at {self._address.url}"

    def ask(self, method: str, path: str, document: dict[str, Any] | None = None) -> RestAnswer:
        """Answer to one question below the versioned path.

        Raises
        ------
        TransportError
            It was certainly not heard: there is no connection, or no token that opens it.
        """
        try:
            token = read_token(self._address.token_file)
        except DispatchError as problem:
            raise TransportError(
                problem.what, still_works=problem.still_works, try_this=problem.try_this
            ) from problem
        kind = http.client.HTTPSConnection if self._encrypted else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=_ANSWER_S)
        try:
            try:
                connection.connect()
            except OSError as error:
                raise self._unreachable(f"cannot be reached: {error}") from error
            return self._exchange(connection, method, path, document, token)
        finally:
            connection.close()

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        document: dict[str, Any] | None,
        token: str,
    ) -> RestAnswer:
        headers = {
            "X-SLURM-USER-NAME": self._address.user,
            "X-SLURM-USER-TOKEN": token,
            "Accept": "application/json",
        }
        body = None
        if document is not None:
            body = json.dumps(document).encode()
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, self._base + path, body, headers)
            response = connection.getresponse()
            content = response.read(_LARGEST_ANSWER_BYTES)
        except (OSError, http.client.HTTPException) as error:
            return RestAnswer(None, {}, f"the connection broke: {type(error).__name__}")
        if response.status in (401, 403, 407):
            raise self._unreachable(
                f"does not accept the token in {self._address.token_file} ({response.status}); it may have ended"
            )
        try:
            said = json.loads(content)
        except ValueError:
            said = {}
        said = said if isinstance(said, dict) else {}
        return RestAnswer(
            response.status, said, _errors(said).replace(token, "...") or f"HTTP {response.status}"
        )

    def _unreachable(self, what: str) -> TransportError:
        return TransportError(
            f"Slurm's REST interface at {self._address.url} {what}.",
            still_works=_STILL_WORKS,
            try_this="Check rest_url and token_file in section [cluster] of the settings; a token lasts a day at most.",
        )


def _errors(document: dict[str, Any]) -> str:
    rows = document.get("errors")
    words = [
        str(row.get("description") or row.get("error") or "")
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, dict)
    ]
    return "; ".join(word.strip().rstrip(".") for word in words if word)[:500]
