"""Headless half of mento-gui: watches, decodes, correlates, judges, dispatches. Knows no Qt."""
