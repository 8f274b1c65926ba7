"""The exporter's tests: `python -m unittest discover -s models/export/tests -t models`."""
