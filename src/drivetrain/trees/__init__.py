"""Trees: grown by scikit-learn and LightGBM, kept as plain arrays, walked by numpy to the same bits.

    from drivetrain.trees.grow import forest
    grown = forest(X, y, num_classes=2, min_samples_leaf=5)
    grown.ensemble.predict(X)

ensemble.py is the arrays and what they tell; grow.py, boost.py and simple.py make them; stored.py checks
those that come from elsewhere; splits.py scores one split by hand; walk_torch.py is the walk in torch.
"""
