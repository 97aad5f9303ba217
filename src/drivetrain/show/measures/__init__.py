"""The lines of each loss and metric: what is put in, and what follows from it, step by step."""
