"""Tables: what a report says, before it is written in any format."""
