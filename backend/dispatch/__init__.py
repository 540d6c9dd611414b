"""Jobs: recipes, executors, the way of a result back to the beamline."""
