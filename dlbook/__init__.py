"""The models of the book, one module for each concept."""
