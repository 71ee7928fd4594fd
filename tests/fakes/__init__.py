"""Methods that need no weights, for tests of the studio and its page."""
