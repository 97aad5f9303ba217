"""Items, splits and loaders: what stands between files and a batch."""
