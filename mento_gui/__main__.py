"""``python -m mento_gui``: the same as ``mento-gui``."""

from __future__ import annotations

from mento_gui.command_line import main

if __name__ == "__main__":
    main()
