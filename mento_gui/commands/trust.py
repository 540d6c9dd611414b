"""``mento-gui trust``: first contact with a cluster, its host key approved by a person."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from backend.dispatch.ssh_login import SshAddress

_EPILOG = """
\b
Examples:
  mento-gui trust max-p3a001.desy.de
  mento-gui trust max-p3a001.desy.de --fingerprint SHA256:kbuTkL1pGGNCzoPYyNiCo5nLqI2xTpWfRvXd3y7vS0k
  mento-gui trust max-p3a001.desy.de --via p10user@gateway.desy.de --key /gpfs/current/shared/id_rsa
"""


@click.command("trust", epilog=_EPILOG)
@click.argument("host")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=22, show_default=True, help="Its port for SSH."
)
@click.option(
    "--fingerprint", "expected", default=None, metavar="SHA256:...",
    help="Approve without a question if the host shows a key of this fingerprint; refuse any other.",
)  # fmt: skip
@click.option(
    "--known-hosts", type=click.Path(dir_okay=False, path_type=Path), default=None, metavar="FILE",
    help="Where approved keys are kept, if the settings name such a file.",
)  # fmt: skip
@click.option(
    "--via", "jump", default=None, metavar="USER@HOST[:PORT]",
    help="Jump host to go through; it must have been approved before.",
)  # fmt: skip
@click.option(
    "--key", "key_file", type=click.Path(dir_okay=False, path_type=Path), default=None, metavar="FILE",
    help="Private key for the jump host.",
)  # fmt: skip
def trust(
    host: str,
    port: int,
    expected: str | None,
    known_hosts: Path | None,
    jump: str | None,
    key_file: Path | None,
) -> None:
    """Show the fingerprint of HOST's key and store it once it is approved.

    Compare it with the one that the people who run HOST tell you, not with one that came the same way. Jobs are sent to
    approved hosts only; nothing is sent to HOST by this command. Exit code 1 when the key was not approved.
    """
    from backend.dispatch.host_keys import (
        approve_host,
        default_known_hosts,
        fingerprint,
        host_entry,
        read_known_hosts,
    )
    from backend.dispatch.ssh_login import ask_host_key
    from backend.errors import FeedbackError

    file = known_hosts or default_known_hosts()
    name = host_entry(host, port)
    address = None if jump is None else _jump_host(jump, key_file, file)
    try:
        key = ask_host_key(host, port, address)
        shown = fingerprint(key)
        if read_known_hosts(file).check(name, key):
            click.echo(f"{name} is approved already, with this key: {shown}")
            return
        known = read_known_hosts(file).lookup(name) or {}
        click.echo(f"{name} shows an {key.get_name()} key: {shown}")
        for earlier in known.values():
            click.echo(f"Approved until now: {fingerprint(earlier)}")
        if expected is None:
            click.confirm("Is this what the people who run it say, and shall it be approved?", abort=True)
        elif expected.rstrip("=") != shown:
            raise click.ClickException(f"{name} shows {shown}, expected was {expected}. Nothing was stored.")
        approve_host(file, host, port, key)
    except FeedbackError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Approved, and stored in {file}")


def _jump_host(text: str, key_file: Path | None, known_hosts: Path) -> SshAddress:
    from backend.dispatch.ssh_login import SshAddress

    user, at, place = text.rpartition("@")
    host, colon, port = place.partition(":")
    if not (user and at and host) or (colon and not port.isdigit()):
        raise click.BadParameter("write it as USER@HOST or USER@HOST:PORT", param_hint="--via")
    if key_file is None:
        raise click.UsageError("--via needs --key FILE, the private key for the jump host.")
    return SshAddress(host, int(port or 22), user, key_file, known_hosts)
