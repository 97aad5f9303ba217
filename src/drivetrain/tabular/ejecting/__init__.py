"""Runs of tables as plain scripts."""
