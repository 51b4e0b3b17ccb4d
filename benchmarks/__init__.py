"""Results that would take a chapter too long: each script makes one file of results/, with what it was made from."""
