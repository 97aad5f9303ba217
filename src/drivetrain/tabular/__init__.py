"""Tables: from a CSV, a Parquet file or a data frame to models that can be asked why."""
