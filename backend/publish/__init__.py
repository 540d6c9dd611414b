"""The wire between backend and its clients, and the status file."""
