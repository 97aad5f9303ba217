"""What `predict.py` of a bundle of tables is made of: a module for each section of it."""
