"""`quell demo`: the main job once, on real input, with every fact read back."""
