"""The pages of the appendix that are made of the book itself, and so are never out of date."""
