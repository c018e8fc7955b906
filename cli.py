"""The command line of fer_edge from a checkout: ``python cli.py --help``."""

from fer_edge.cli import main

if __name__ == "__main__":
    main()
