"""Data files shipped with the program: default recipes, help pages, styles."""
