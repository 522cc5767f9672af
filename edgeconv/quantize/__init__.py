"""Quantize: the Recipe as a file that people read, edit and commit."""
