"""What authors run: nothing here is imported by the package or by a notebook."""
