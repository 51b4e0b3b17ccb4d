"""What makes and checks the book: nothing here is imported by the package or by a notebook."""
