"""The command line of fer_edge from a checkout: ``python cli.py --help``."""

from fer_edge.__main__ import main

if __name__ == "__main__":
    main()
