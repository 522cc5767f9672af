"""Data: folders, manifests and arrays as streams of preprocessed batches."""
