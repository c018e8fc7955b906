"""Hooks by which PyInstaller freezes an app with the models and assets of this package in it.

PyInstaller finds them by the entry point ``pyinstaller40`` of an installed fer_edge; nothing has to be named.
Nothing else imports this package, and only PyInstaller imports the hooks. It knows a hook by its file's name and runs
it when that package is imported, so there is one for each: a single one for all would freeze training, and with it
torch, into an app that only predicts.
"""

from pathlib import Path


def get_hook_dirs() -> list[str]:
    """The folder of the hooks, as PyInstaller asks for it."""
    return [str(Path(__file__).parent)]
