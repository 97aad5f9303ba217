"""A run as one HTML file: what was asked, how it went, where it errs, and what to do next.

    record = open_record("runs/birds")
    build(record, evidence).write("report.html")

Each application gives an `Evidence` of its own (`drivetrain.vision.reporting` and its like); the report
knows plain values alone.
"""
