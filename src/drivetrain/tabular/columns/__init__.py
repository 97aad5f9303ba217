"""Columns of a table: their kinds and reasons, numbers and dates as people write them."""
