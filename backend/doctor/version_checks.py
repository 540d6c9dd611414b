"""The program on both sides: whether the Python on the nodes has it, and in which version."""

from __future__ import annotations

import json
import platform
from importlib import metadata

from backend.doctor.examination import Check, Examination
from backend.doctor.finding import Finding, fault, good, note

PACKAGES = ("mento-gui", "numpy", "numba", "h5py", "hdf5plugin", "scipy")
_START = 'exec "$@"'
_PROGRAM = """
import json, platform, sys
from importlib import metadata
import backend.dispatch.run_job
said = {"python": platform.python_version()}
for name in sys.argv[1:]:
    try:
        said[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        said[name] = ""
print(json.dumps(said))
"""


def _versions(seen: Examination) -> Finding:
    plan = seen.plan
    shell = "\n".join(["set -e", *plan.setup, _START])
    answer = seen.cluster.run(
        ["/bin/bash", "-l", "-c", shell, "bash", plan.python, "-P", "-c", _PROGRAM, *PACKAGES], timeout_s=60.0
    )
    lines = answer.output.strip().splitlines()
    if answer.exit_code != 0 or not lines:
        last = (answer.error.strip() or "no answer").splitlines()[-1]
        return fault(
            f"{plan.python} there does not have this program: {last}.",
            "Jobs cannot run.",
            "Install it where the nodes see it (docs/worker.md); its Python goes into section [cluster] as python.",
        )
    there = {str(name): str(version) for name, version in json.loads(lines[-1]).items()}
    here = {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES}
    differing = [
        f"{name} {here[name]} here, {there[name] or 'none'} there"
        for name in here
        if here[name] != there[name]
    ]
    if here["mento-gui"] != there["mento-gui"]:
        return note(
            f"{'; '.join(differing)}.",
            "Jobs compute with another version of this program than the live analysis does.",
            "Install the same version there (docs/worker.md).",
        )
    words = f"mento-gui {there['mento-gui']} on both sides, Python {there['python']} there"
    if differing:
        return good(f"{words}. Other packages differ, which does no harm: {'; '.join(differing)}.")
    return good(f"{words}, all packages equal.")


VERSION_CHECKS = (Check("versions", ("log-in",), _versions, over_shell=True),)
