"""Training recipes for the pocket weights, one file per network."""
