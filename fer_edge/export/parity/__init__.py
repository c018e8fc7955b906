"""How far a model is from its checkpoint: probes, comparison, tolerance, first diverging layer, preprocessing skew."""
