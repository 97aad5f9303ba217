"""Table files and frames as Arrow: reading them, whatever their layout, and saying what was repaired."""
