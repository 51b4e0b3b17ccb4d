"""Practice: what is done with a trained model, whatever its kind."""
