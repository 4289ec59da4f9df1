"""Speed, measured as ratios against named rivals in the same run: `make bench` or `python -m bench [NAME ...]`."""
