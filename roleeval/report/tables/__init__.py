"""Tables: the contents of a report, independent of the format."""
