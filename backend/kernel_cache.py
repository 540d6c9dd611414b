"""Where compiled kernels are kept on the disk: a folder for every state of the sources and type of processor.

numba notices a change of the file that a kernel stands in, but not of other files whose kernels and constants were
compiled into it. So the folder is named after everything that can end up in a kernel, and what is in it is never stale.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import re
import shutil
import time
from pathlib import Path

import platformdirs

NUMBA_FOLDER = "NUMBA_CACHE_DIR"
"""Environment variable by which numba is told; it must be set before the first kernel is imported."""
_KEPT_DAYS = 30.0
_DAY_S = 86_400.0
_IMPORT = re.compile(r"^from (backend[\w.]*) import (\([^)]*\)|.*)$", re.MULTILINE)
_log = logging.getLogger(__name__)


def use_kernel_cache() -> None:
    """Let numba keep kernels in the user's cache folder, unless the user has chosen another one."""
    parent = platformdirs.user_cache_path("mento-gui") / "kernels"
    chosen = os.environ.get(NUMBA_FOLDER)
    # A folder of ours may be inherited from a program that was replaced since, or runs on another processor.
    if chosen and Path(chosen).parent != parent:
        return
    try:
        os.environ[NUMBA_FOLDER] = str(kernel_folder_in(parent, _KEPT_DAYS))
    except OSError as error:
        os.environ.pop(NUMBA_FOLDER, None)
        _log.info("Kernels are kept where numba finds room, as %s cannot be used: %s", parent, error)


def kernel_folder_in(parent: Path, kept_days: float, backend: Path = Path(__file__).parent) -> Path:
    """The folder in ``parent`` for these sources and this processor, made if need be.

    Others in ``parent`` that were not used for ``kept_days`` are removed.

    Raises
    ------
    OSError
        The folder cannot be made or written.
    """
    folder = parent / f"{_processor()}-{_hash_of_kernels(backend)}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The time stamp tells when the folder was used last.
    os.utime(folder)
    for other in parent.iterdir():
        if other != folder and _unused_for_s(other) > kept_days * _DAY_S:
            # Another program may be removing the same one.
            shutil.rmtree(other, ignore_errors=True)
    return folder


def _unused_for_s(folder: Path) -> float:
    """Seconds since the folder was used last; 0 when it is gone by now."""
    try:
        return time.time() - folder.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _processor() -> str:
    """Type of the processor with all it can do: kernels are compiled for exactly that."""
    wanted = ("model name", "flags", "CPU part", "Features")
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0].splitlines()
    abilities = "\n".join(line for line in lines if line.startswith(wanted))
    return f"{platform.machine()}-{hashlib.sha256(abilities.encode()).hexdigest()[:8]}"


def _hash_of_kernels(backend: Path) -> str:
    """Hash of all files with kernels and of all files that these import from, directly or not."""
    texts = {path: path.read_text(encoding="utf-8") for path in backend.rglob("*.py")}
    waiting = [path for path, text in texts.items() if "import numba" in text or "from numba" in text]
    found: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += [other for other in _imported(texts[path], backend) if other in texts]
    digest = hashlib.sha256()
    for path in sorted(found):
        digest.update(f"{path.relative_to(backend)}\0{texts[path]}\0".encode())
    return digest.hexdigest()[:16]


def _imported(text: str, backend: Path) -> list[Path]:
    """Files that a source may import from its own package; some of them may not exist."""
    files = []
    for module, names in _IMPORT.findall(text):
        place = backend.joinpath(*module.split(".")[1:])
        files += [place.with_suffix(".py"), *(place / f"{name}.py" for name in re.findall(r"\w+", names))]
    return files
