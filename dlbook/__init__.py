"""The code that the book teaches: models, training, metrics, text and data."""
