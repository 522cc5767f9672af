"""Package: the bundle, written aside and renamed whole."""
