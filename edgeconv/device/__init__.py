"""Device: what runs the model, and how fast."""
