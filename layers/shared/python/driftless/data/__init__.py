"""Data: from a landed file to a table version, and from table versions to a training set."""
