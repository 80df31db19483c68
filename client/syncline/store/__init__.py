"""Stores: where a replica keeps its records, its change list and what it has yet to say."""
