"""Makes the records that every measure moves: about 210 bytes of JSON each."""

import random
import uuid
from typing import Any


MODEL = "bench"


def make_record(chance: random.Random, turn: int = 0) -> dict[str, Any]:
    """Return a new record with a random id."""
    return {
        "id": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        "name": f"{chance.getrandbits(48):012x}",
        "board": f"{chance.getrandbits(256):064x}",
        "turn": turn,
        "score": chance.random() * 1000,
        "updated": f"2026-01-01T00:00:{turn % 60:02d}.000Z",
    }


def make_records(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Return that many records, the same ones for the same seed."""
    chance = random.Random(seed)
    return [make_record(chance, turn) for turn in range(count)]
