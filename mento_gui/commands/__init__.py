"""The subcommands of ``mento-gui``, one per file."""
