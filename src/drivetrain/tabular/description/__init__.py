"""The parts of `tabular.describe`: figures, charts, hints, and the page."""
