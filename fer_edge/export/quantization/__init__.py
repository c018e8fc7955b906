"""INT8: calibration, the search for the best recipe, sensitivity of layers, processor targets, the gate of speed."""
