"""Views and settings forms: draw a snapshot, emit the wish of the user as a signal, know nothing else."""
