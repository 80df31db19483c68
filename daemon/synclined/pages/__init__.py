"""The daemon's pages: what a person sees of it in a browser."""
