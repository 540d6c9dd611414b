"""PETRA III folders and the small text files that P10 writes beside the data."""
