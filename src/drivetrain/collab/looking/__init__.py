"""Looking into a factorisation: biases, axes of taste, nearest items, a map, a look-up as a product."""
