"""The replica that listens: the syncline daemon."""
