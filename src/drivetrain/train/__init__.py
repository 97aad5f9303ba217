"""The loop, the Learner around it, and what hangs on its events."""
