"""Loggers: where the numbers of a training go, one kind a file. `callbacks.log_to.LogTo` feeds them."""
