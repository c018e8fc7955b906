"""The command line: parse, call, print. Commands import what they need when they run, so ``--help`` is quick."""

from fer_edge.cli.app import app, main

__all__ = ["app", "main"]
