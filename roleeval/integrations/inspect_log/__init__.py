"""Result folders as logs of inspect-ai, for `inspect view` and its other readers."""
