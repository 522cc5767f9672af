"""Load: a zoo name or a file becomes a SourceModel."""
