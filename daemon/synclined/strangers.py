"""
Tell clients of other protocols, in their own words, why they are not understood.

Nothing more of those protocols is spoken here. A stock client shows its user what its server says
in its own packets, and nothing of an HTTP answer or of a packet that it can't read.
"""

import json

import msgspec


EIO3 = "Engine.IO 3, of Socket.IO 2, is not spoken here: use a Socket.IO client of version 3 or 4"
MSGPACK = "Socket.IO's msgpack parser is not spoken here: use the client's default parser"

_CONNECT, _CONNECT_ERROR = 0, 4
_CLOSE = "1"


def eio3_frames(reason: str) -> tuple[str, ...]:
    """Return what tells a client of Engine.IO 3 the reason over a WebSocket, before its end."""
    opening = {"sid": "none", "upgrades": [], "pingInterval": 25000, "pingTimeout": 20000}
    return "0" + json.dumps(opening), "44" + json.dumps(reason)


def eio3_payload(reason: str) -> str:
    """Return the same, and the end, as the answer to its first poll."""
    return "".join(f"{len(packet)}:{packet}" for packet in (*eio3_frames(reason), _CLOSE))


def msgpack_refusal(message: bytes) -> bytes | None:
    """Return the refusal of a CONNECT in msgpack; None when the message is none."""
    try:
        packet = msgspec.msgpack.decode(message)
    except (ValueError, RecursionError):
        return None
    if not isinstance(packet, dict) or packet.get("type") != _CONNECT:
        return None
    namespace = packet.get("nsp")
    refusal = {
        "type": _CONNECT_ERROR,
        "nsp": namespace if isinstance(namespace, str) else "/",
        "data": {"message": MSGPACK, "data": {"code": "protocol_error", "message": MSGPACK}},
    }
    return msgspec.msgpack.encode(refusal)
