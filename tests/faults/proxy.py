"""
A TCP proxy whose faults are switched while it runs, for standing between a replica and a daemon.

It delays, cuts, half-closes, throttles and flaps, and it is a black hole one way or both: there
bytes wait as they do in a network that loses packets, and arrive late when it heals.
"""

import asyncio
import contextlib
import random
import socket


CHUNK = 64 * 1024
THROTTLED_BUFFER = 4096
TICK_S = 0.05
IN, OUT = "in", "out"
"""Towards the daemon, and away from it."""


class Way:
    """
    What becomes of the bytes of one direction.

    Attributes:
        delay_s: how long each chunk is held; at most one chunk is on its way.
        bytes_per_s: how many bytes pass a second; None for all.
        passed: how many bytes have passed.
        is_open: cleared while the way is a black hole.
    """

    def __init__(self):
        self.delay_s = 0.0
        self.bytes_per_s = None
        self.passed = 0
        self.is_open = asyncio.Event()
        self.is_open.set()


class Pipe:
    """One accepted connection and its counterpart."""

    def __init__(self):
        self.writers = {}
        self.task = None
        self.ways = {IN: asyncio.Event(), OUT: asyncio.Event()}
        for is_open in self.ways.values():
            is_open.set()


class FaultProxy:
    """
    Stands before a TCP server.

    Args:
        port: of the server, on loopback; may be changed, for the connections to come.

    Attributes:
        url: where to connect instead.
        accepted: how many connections were ever made.
    """

    def __init__(self, port):
        self.target_port = port
        self.ways = {IN: Way(), OUT: Way()}
        self.accepted = 0
        self.url = ""
        self._refuses = False
        self._pipes = set()
        self._server = None

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *exc_info):
        self._server.close()
        tasks = [pipe.task for pipe in self._pipes]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()

    # ---- faults -------------------------------------------------------------------------

    @property
    def connections(self):
        """How many connections stand now."""
        return len(self._pipes)

    def delay(self, seconds, *directions):
        """Hold each chunk so long; 0 ends it."""
        for way in self._ways(directions):
            way.delay_s = seconds

    def throttle(self, bytes_per_s, *directions):
        """Let so many bytes a second pass; None ends it."""
        for way in self._ways(directions):
            way.bytes_per_s = bytes_per_s

    def black_hole(self, *directions):
        """Let nothing pass, while all connections stand."""
        for way in self._ways(directions):
            way.is_open.clear()

    def strand(self, *directions):
        """Be a black hole for the connections that stand, and none for those to come."""
        for pipe in self._pipes:
            for name in directions or (IN, OUT):
                pipe.ways[name].clear()

    def heal(self):
        """End every fault; what a black hole held arrives now."""
        self._refuses = False
        for pipe in self._pipes:
            for is_open in pipe.ways.values():
                is_open.set()
        for way in self.ways.values():
            way.delay_s, way.bytes_per_s = 0.0, None
            way.is_open.set()

    def cut(self):
        """Reset every connection that stands."""
        for pipe in tuple(self._pipes):
            for writer in pipe.writers.values():
                writer.transport.abort()
            pipe.task.cancel()

    def refuse(self):
        """Cut, and reset whoever connects, until healed."""
        self._refuses = True
        self.cut()

    def half_close(self, direction):
        """Say the end of stream one way; the other way goes on."""
        for pipe in tuple(self._pipes):
            if direction in pipe.writers:
                pipe.writers[direction].write_eof()

    async def flap(self, turns, *, up_s, down_s, seed=0):
        """Cut and heal so many times; the two times are the longest that it stays so."""
        chance = random.Random(seed)
        for _ in range(turns):
            self.refuse()
            await asyncio.sleep(chance.random() * down_s)
            self.heal()
            await asyncio.sleep(chance.random() * up_s)

    def _ways(self, directions):
        return [self.ways[name] for name in directions or (IN, OUT)]

    # ---- carrying -----------------------------------------------------------------------

    async def _serve(self, reader, writer):
        self.accepted += 1
        pipe = Pipe()
        pipe.task = asyncio.current_task()
        pipe.writers[OUT] = writer
        self._pipes.add(pipe)
        try:
            if not self._refuses:
                with contextlib.suppress(OSError):
                    await self._carry(pipe, reader)
        except asyncio.CancelledError:
            # A streams server logs the end of a handler that was cancelled as an error.
            pass
        finally:
            self._pipes.discard(pipe)
            for each in pipe.writers.values():
                each.transport.abort()

    async def _carry(self, pipe, reader):
        # Through a black hole not even a connection is made.
        for way in self.ways.values():
            await way.is_open.wait()
        server = socket.socket()
        server.setblocking(False)
        if self.ways[OUT].bytes_per_s is not None:
            # Else the kernel reads ahead by megabytes, and the server never feels the throttle.
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, THROTTLED_BUFFER)
        try:
            loop = asyncio.get_running_loop()
            await loop.sock_connect(server, ("127.0.0.1", self.target_port))
            theirs, pipe.writers[IN] = await asyncio.open_connection(
                sock=server, limit=THROTTLED_BUFFER
            )
        except BaseException:
            server.close()
            raise
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pump(pipe, IN, reader))
            group.create_task(self._pump(pipe, OUT, theirs))

    async def _pump(self, pipe, direction, reader):
        way, writer = self.ways[direction], pipe.writers[direction]
        try:
            while True:
                size = CHUNK
                if way.bytes_per_s is not None:
                    size = max(int(way.bytes_per_s * TICK_S), 1)
                chunk = await reader.read(size)
                if way.delay_s:
                    await asyncio.sleep(way.delay_s)
                if way.bytes_per_s is not None:
                    await asyncio.sleep(len(chunk) / way.bytes_per_s)
                await way.is_open.wait()
                await pipe.ways[direction].wait()
                if not chunk:
                    if writer.can_write_eof() and not writer.is_closing():
                        writer.write_eof()
                    return
                writer.write(chunk)
                way.passed += len(chunk)
                await writer.drain()
        except (OSError, RuntimeError):
            # One side is gone at once, or has said its end: so is the other.
            for each in (reader, writer):
                transport = getattr(each, "transport", None) or each._transport
                transport.abort()
