"""The parts of `tabular.tune`: what is tried, how it is compared, what was found."""
