"""Streaming correlation: multi-tau g2, two-time maps, intensity, contrast, fits."""
