"""Real data for the book: fetched, verified, cached."""
