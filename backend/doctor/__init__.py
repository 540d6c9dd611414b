"""Looks over everything that jobs on the cluster need, before the beamtime; one file per group of checks."""
