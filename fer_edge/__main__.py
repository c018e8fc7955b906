"""Starts the command line: ``python -m fer_edge --help``."""

import sys

INTERRUPTED = 130
"""Exit code of a program that Ctrl-C ended, as shells count: 128 + SIGINT."""


def main() -> None:
    """Run the command line. Its imports take a moment, in which Ctrl-C ends in one line as well."""
    try:
        from fer_edge.cli import main as run
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        sys.exit(INTERRUPTED)
    run()


if __name__ == "__main__":
    main()
