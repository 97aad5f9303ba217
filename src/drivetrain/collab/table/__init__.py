"""Reading a table of ratings into codes: columns, names, what is set aside, splits, titles."""
