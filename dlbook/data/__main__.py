"""Fetch data sets ahead of time: `python -m dlbook.data [names…]`, all of them by default."""

import argparse
import sys

from dlbook.data import store


def main(arguments: list[str] | None = None) -> int:
    """Fetch and verify the data sets named on the command line; return the exit status, 1 after an error."""
    parser = argparse.ArgumentParser(prog="python -m dlbook.data", description="Fetch and verify the book's data sets.")
    parser.add_argument("names", nargs="*", help=f"any of {', '.join(store.catalog())} (default: all)")
    try:
        for name in parser.parse_args(arguments).names or store.catalog():
            print(f"{name}, {store.find(name).size}", flush=True)
            folder = store.fetch(name, tell=lambda line: print(f"  {line}", flush=True))
            print(f"  verified: {folder}", flush=True)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
