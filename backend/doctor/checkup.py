"""All checks, in the order in which they build on each other."""

from __future__ import annotations

from backend.doctor.beamtime_checks import BEAMTIME_CHECKS
from backend.doctor.file_checks import FILE_CHECKS
from backend.doctor.job_check import JOB_CHECKS
from backend.doctor.login_checks import LOGIN_CHECKS
from backend.doctor.rest_checks import REST_CHECKS
from backend.doctor.slurm_checks import SLURM_CHECKS
from backend.doctor.version_checks import VERSION_CHECKS

ALL_CHECKS = (
    *BEAMTIME_CHECKS,
    *LOGIN_CHECKS,
    *REST_CHECKS,
    *SLURM_CHECKS,
    *FILE_CHECKS,
    *VERSION_CHECKS,
    *JOB_CHECKS,
)
