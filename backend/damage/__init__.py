"""Beam damage: noise model, change channels, e-process, verdict."""
