"""Prepare: float-side passes on the folded weights, one a file."""
