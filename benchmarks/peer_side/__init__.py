"""Runs in the environment of the peers: their packages, called the fastest correct way. Imports nothing of ours."""
