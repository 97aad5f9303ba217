"""Users and items that training did not see: vectors from facts, from a few ratings, or neither."""
