"""The environment of the peers: their packages in versions that do not move, never in the project's own.

``python -m benchmarks.peers`` installs what the tests and the sparse comparisons need; ``--dense`` adds boost-corr and
torch, which take several GB because the package index has torch only together with its GPU libraries.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
_ENVIRONMENT = PROJECT / ".setup" / "peers"


@dataclass(frozen=True, slots=True)
class _Group:
    """Packages that pip installs in one go, with its options for them."""

    name: str
    requirements: tuple[str, ...]
    options: tuple[str, ...] = ()

    def fingerprint(self) -> str:
        """Another one when a version or an option is another."""
        return hashlib.sha256("\n".join((*self.requirements, *self.options)).encode()).hexdigest()

    def stamp(self) -> Path:
        """File with the fingerprint of what was installed."""
        return _ENVIRONMENT / f"{self.name}.installed"

    def is_installed(self) -> bool:
        """Whether exactly this group is there."""
        stamp = self.stamp()
        return stamp.exists() and stamp.read_text(encoding="utf-8") == self.fingerprint()


_SPARSE = _Group(
    "sparse",
    (
        "bslz4-to-sparse==0.0.16",
        "xpcs-correlator==0.4.5",
        "numba==0.68.1",
        "numpy==2.4.6",
        "h5py==3.16.0",
        "hdf5plugin==7.1.0",
        "threadpoolctl==3.8.0",
    ),
)
_SCIKIT_BEAM = (
    _Group(
        "scikit-beam-needs",
        (
            *_SPARSE.requirements,
            "scipy==1.17.1",
            "scikit-image==0.26.0",
            "six==1.17.0",
            "setuptools==84.2.1",
            "Cython==3.3.1",
        ),
    ),
    # Its metadata ask for pyFAI and more, which its correlation functions do not use. The index has its source alone;
    # they do not use its compiled modules either, so these are left out, and no compiler is needed. pip must not keep
    # the incomplete package for others.
    _Group(
        "scikit-beam",
        ("scikit-beam==0.0.27",),
        (
            "--no-deps",
            "--no-build-isolation",
            "--no-cache-dir",
            "--config-settings=--global-option=build_py",
            "--config-settings=--build-option=--skip-build",
        ),
    ),
)
_DENSE = (
    _Group("dense", (*_SPARSE.requirements, "torch==2.13.0", "scipy==1.17.1", "tqdm==4.70.1")),
    # Its metadata ask for a newer Python than that of Debian 12, and for what only its command line uses.
    _Group("dense-alone", ("boost-corr==0.1.7",), ("--no-deps", "--ignore-requires-python")),
)


class PeerInstallError(RuntimeError):
    """The peers could not be installed."""


def peer_python(*, dense: bool = False, scikit_beam: bool = False) -> Path:
    """Python of the peers' environment, which is made or completed where needed.

    Raises
    ------
    PeerInstallError
        A package could not be installed; the output of pip says why.
    """
    python = _ENVIRONMENT / "bin" / "python"
    # Without pip: whoever made the environment was ended before it was ready.
    if not python.exists() or not _has_pip(python):
        _run([sys.executable, "-m", "venv", "--clear", str(_ENVIRONMENT)])
    for group in _groups(dense=dense, scikit_beam=scikit_beam):
        if not group.is_installed():
            _install(python, group)
    return python


def peers_are_installed(*, dense: bool = False, scikit_beam: bool = False) -> bool:
    """Whether :func:`peer_python` has nothing left to do."""
    return all(group.is_installed() for group in _groups(dense=dense, scikit_beam=scikit_beam))


def _groups(*, dense: bool, scikit_beam: bool) -> list[_Group]:
    return [_SPARSE, *(_SCIKIT_BEAM if scikit_beam else ()), *(_DENSE if dense else ())]


def _has_pip(python: Path) -> bool:
    return (
        subprocess.run([str(python), "-m", "pip", "--version"], capture_output=True, check=False).returncode
        == 0
    )


def _install(python: Path, group: _Group) -> None:
    print(f"Installing for the comparison: {', '.join(group.requirements)}", file=sys.stderr, flush=True)
    _run([str(python), "-m", "pip", "install", "--quiet", *group.options, *group.requirements])
    group.stamp().write_text(group.fingerprint(), encoding="utf-8")


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdout=sys.stderr, check=False)
    if done.returncode != 0:
        raise PeerInstallError(
            f"The programs to compare with could not be installed; the reason stands above. {' '.join(command)} ended "
            f"with {done.returncode}. All else works without them. Check the network and the free space, then start "
            f"python -m benchmarks.peers again. If that does not help, remove {_ENVIRONMENT} first."
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dense", action="store_true", help="boost-corr and torch too (several GB)")
    dense = parser.parse_args().dense
    try:
        print(peer_python(dense=dense, scikit_beam=True))
    except PeerInstallError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
