"""What makes and checks the book: nothing here is imported by the package or by a notebook."""

import sys

# nbformat imports jsonschema, which would build a grammar of web addresses, in a second or more. No notebook has one.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
