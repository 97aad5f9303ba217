"""What pictures bring to the script of their run: finding, opening, splitting, varying; and the model."""
