"""The LoopBack door: LoopBack 3's REST API and its replication, on the daemon's models."""
