"""Labelled faces in every layout that users hold, as one array; splits, leaks and the built-in sample faces."""
