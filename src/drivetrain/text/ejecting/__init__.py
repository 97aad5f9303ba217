"""What texts bring to scripts: of a run, and of a bundle that predicts."""
