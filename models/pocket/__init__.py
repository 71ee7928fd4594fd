"""The pocket set: a small procedural world, recipes that train on it, and the weights they gave."""
