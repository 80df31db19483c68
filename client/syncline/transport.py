"""
The transport beneath a connection: python-engineio's, but for how it reads and writes.

engineio makes a task and a timer for each message that it reads, and another task that handles
it, which costs turns of the loop and promises no order; to write a packet it takes two tasks and
as many turns, and it gives up a link for which nothing was queued in thirty seconds.
Here one task reads and hands on what it read, and a packet is written where it is sent.
"""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

import aiohttp
import engineio
from engineio.packet import Packet

from syncline.logs import Logger


log = Logger("syncline")

CLOSE_TIMEOUT_S = 2.0
"""How long a closing handshake may take with a daemon that has fallen silent."""

_DISCONNECT = "1"


class _Queue(asyncio.Queue[Any]):
    """A queue of packets that knows how many were not written yet."""

    unwritten = 0

    def _put(self, item: Any) -> None:
        self.unwritten += 1
        super()._put(item)

    def task_done(self) -> None:
        self.unwritten -= 1
        super().task_done()


class Transport(engineio.AsyncClient):  # type: ignore[misc] # python-engineio has no types
    """An Engine.IO client over a WebSocket, which is the one transport that it is used with."""

    def create_queue(self) -> _Queue:
        """Return the queue of what can't be written at once."""
        return _Queue()

    # ---- writing ------------------------------------------------------------------------

    async def _send_packet(self, pkt: Any) -> None:
        """Write a packet now, or queue it behind those that wait."""
        if not self._is_free_to_write():
            await super()._send_packet(pkt)
            return
        try:
            run_to_a_wait(self._write(pkt))
        except (OSError, aiohttp.ClientError):
            # The socket is gone: its writer meets that, and ends as engineio has it.
            await super()._send_packet(pkt)

    def _is_free_to_write(self) -> bool:
        """Tell whether a packet written now overtakes none."""
        is_up = self.state == "connected" and self.current_transport == "websocket"
        return is_up and self.ws is not None and not self.queue.unwritten

    async def _write(self, packet: Any) -> None:
        write = self.ws.send_bytes if packet.binary else self.ws.send_str
        await write(packet.encode())

    async def _write_loop(self) -> None:
        """Write what is queued, until the end that is queued behind it."""
        with contextlib.suppress(OSError, aiohttp.ClientError):
            while (packet := await self.queue.get()) is not None:
                try:
                    await self._write(packet)
                finally:
                    self.queue.task_done()
            self.queue.task_done()
        self.write_loop_task = None

    # ---- reading ------------------------------------------------------------------------

    async def _read_loop_websocket(self) -> None:
        """Hand on what is read; the end of the link is engineio's to tell."""
        try:
            while self.state == "connected" and (message := await self._read()) is not None:
                await self._receive_packet(Packet(encoded_packet=message))
        except (OSError, ValueError, aiohttp.ClientError) as error:
            log.debug("transport.ended", reason=str(error))
        except Exception:
            # Whatever it was, the end must be told, or the link would wait for nothing.
            log.exception("transport.broke")
        await self.queue.put(None)
        if self.write_loop_task:
            await self.write_loop_task
        await super()._read_loop_websocket()

    async def _read(self) -> str | bytes | None:
        """Return the next message; None when the daemon is gone, or answers no more."""
        try:
            async with asyncio.timeout(self.ping_interval + self.ping_timeout):
                message = (await self.ws.receive()).data
        except TimeoutError:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await self.ws.close()
            return None
        return message if isinstance(message, str | bytes) else None

    async def _trigger_event(self, event: str, *args: Any, **options: Any) -> Any:
        """Handle a message in the task that read it."""
        is_run_async = options.get("run_async", False)
        # At a disconnect the handler ends this very reader.
        if not is_run_async or event != "message" or args[0][:1] == _DISCONNECT:
            return await super()._trigger_event(event, *args, **options)
        try:
            await self.handlers["message"](*args)
        except Exception:
            log.exception("message.broke")
        return None


def run_to_a_wait(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine as far as it goes without waiting: what it does behind that is not needed."""
    try:
        work.send(None)
    except StopIteration:
        return
    work.close()
