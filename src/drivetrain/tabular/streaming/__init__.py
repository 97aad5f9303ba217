"""Tables larger than memory: what has to be known of all rows, found in one pass over batches of them."""
