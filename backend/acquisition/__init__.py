"""Where frames come from: series of EIGER files, live or recorded."""
