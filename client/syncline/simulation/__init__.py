"""
The whole network in one process, under one seed.

``simulate(seed)`` runs daemons and replicas with real engines and sessions in virtual time,
breaks what can break, heals it, and checks every promise that can be checked.
"""

from syncline.simulation.run import Report, simulate


__all__ = ["Report", "simulate"]
