"""The environment of the peers: their packages in versions that do not move, never in the project's own.

``python -m benchmarks.peers`` installs what the sparse comparisons need; ``--dense`` adds boost-corr and torch, which
take several GB because the package index has torch only together with its GPU libraries.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
_ENVIRONMENT = PROJECT / ".setup" / "peers"

_SPARSE = (
    "bslz4-to-sparse==0.0.16",
    "xpcs-correlator==0.4.5",
    "numba==0.68.1",
    "numpy==2.4.6",
    "h5py==3.16.0",
    "hdf5plugin==7.1.0",
    "threadpoolctl==3.8.0",
)
_DENSE = ("torch==2.13.0", "scipy==1.17.1", "tqdm==4.70.1")
# Its metadata ask for a newer Python than Debian 12 has, and for packages of its command line that nothing here uses.
_DENSE_ALONE = ("boost-corr==0.1.7",)


class PeerInstallError(RuntimeError):
    """The peers could not be installed."""


def peer_python(*, dense: bool = False) -> Path:
    """Python of the peers' environment, which is made or completed where needed.

    Raises
    ------
    PeerInstallError
        A package could not be installed; the output of pip says why.
    """
    python = _ENVIRONMENT / "bin" / "python"
    if not python.exists():
        _run([sys.executable, "-m", "venv", str(_ENVIRONMENT)])
    _install(python, "sparse", _SPARSE)
    if dense:
        _install(python, "dense", (*_SPARSE, *_DENSE))
        _install(python, "dense-alone", _DENSE_ALONE, "--no-deps", "--ignore-requires-python")
    return python


def _install(python: Path, group: str, requirements: tuple[str, ...], *options: str) -> None:
    """Install a group unless exactly this group is there already."""
    stamp = _ENVIRONMENT / f"{group}.installed"
    wanted = hashlib.sha256("\n".join((*requirements, *options)).encode()).hexdigest()
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    print(f"Installing for the comparison: {', '.join(requirements)}", file=sys.stderr, flush=True)
    _run([str(python), "-m", "pip", "install", "--quiet", *options, *requirements])
    stamp.write_text(wanted, encoding="utf-8")


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdout=sys.stderr, check=False)
    if done.returncode != 0:
        raise PeerInstallError(f"{' '.join(command)} ended with {done.returncode}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dense", action="store_true", help="boost-corr and torch too (several GB)")
    print(peer_python(dense=parser.parse_args().dense))


if __name__ == "__main__":
    main()
