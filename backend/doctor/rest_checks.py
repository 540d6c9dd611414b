"""Slurm's REST interface, where it is asked instead of Slurm's programs."""

from __future__ import annotations

from backend.dispatch.rest_client import RestClient
from backend.dispatch.token_file import read_token
from backend.doctor.examination import Check, Examination
from backend.doctor.finding import Finding, fault, good


def _token(seen: Examination) -> Finding | None:
    rest = seen.plan.rest
    if rest is None:
        return None
    read_token(rest.token_file)
    return good(f"{rest.token_file}: no other account may read it.")


def _slurmrestd(seen: Examination) -> Finding | None:
    if seen.plan.rest is None:
        return None
    client = RestClient(seen.plan.rest)
    answer = client.ask("GET", "/ping")
    meta = answer.document.get("meta")
    slurm = meta.get("Slurm") or meta.get("slurm") if isinstance(meta, dict) else None
    release = slurm.get("release", "") if isinstance(slurm, dict) else ""
    if answer.status != 200:
        return fault(
            f"{client.place} gave no answer in version {seen.plan.rest.version}: {answer.message}.",
            "No job can be handed over there.",
            "Check rest_url, rest_version and the token; ask the cluster's operators which versions it speaks.",
        )
    return good(f"{client.place}: Slurm {release}, version {seen.plan.rest.version} of the interface.")


REST_CHECKS = (
    Check("token", ("cluster settings",), _token),
    Check("slurmrestd", ("token",), _slurmrestd),
)
