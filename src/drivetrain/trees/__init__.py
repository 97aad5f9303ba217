"""Trees: grown by scikit-learn and LightGBM, kept as plain arrays, walked by numpy to the same bits."""
