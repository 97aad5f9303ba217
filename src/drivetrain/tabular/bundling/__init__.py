"""Bundles of tables from the inside: made, guarded, checked, described."""
