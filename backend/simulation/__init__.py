"""Speckle movies with known truth, written as real EIGER files in a real beamtime tree."""
