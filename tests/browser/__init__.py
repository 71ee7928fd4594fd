"""The page driven in Chromium, over a method that needs no weights."""
