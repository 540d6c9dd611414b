"""Exit codes of ``mento-gui`` that another program may rely on."""

from __future__ import annotations

ANOTHER_BACKEND_RUNS = 4
"""``--backend-only`` was refused because a backend is at work there already."""
