"""Measures this program against what one can install, side by side in one run."""
