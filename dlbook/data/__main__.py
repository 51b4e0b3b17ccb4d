"""Fetch data sets ahead of time: `python -m dlbook.data [names…]`, by default all."""

import argparse
import contextlib
import sys
from collections.abc import Sequence

from dlbook.data import store


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch and verify data sets.

    Args:
        arguments: their names, and options, as on the command line.

    Returns:
        The exit status: 1 after an error, of which stderr holds the message.
    """
    parser = argparse.ArgumentParser(
        prog="python -m dlbook.data", description="Fetch and verify the book's data."
    )
    names = ", ".join(store.catalog())
    parser.add_argument("names", nargs="*", help=f"any of {names} (default: all)")
    try:
        for name in parser.parse_args(arguments).names or store.catalog():
            _print(f"{name}, {store.find(name).size}")
            folder = store.fetch(name, progress=lambda line: _print(f"  {line}"))
            _print(f"  verified: {folder}")
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _print(line: str) -> None:
    """Print a line of progress; what the output cannot encode, as escapes.

    If nothing can be printed, the data is fetched all the same.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    with contextlib.suppress(OSError):
        print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)


if __name__ == "__main__":
    sys.exit(main())
