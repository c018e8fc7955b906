"""Kinds of files that a checkpoint is exported to: one module and one registry row each."""
