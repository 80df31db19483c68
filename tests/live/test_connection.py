"""The client's end of the wire, against a real daemon."""

import asyncio

from syncline.connection import Connection


WAIT_S = 20


async def test_what_is_read_is_handed_on_by_its_reader(daemon):
    """The seam in python-engineio still is where it was: no task a message, and so one order."""
    heard = asyncio.get_running_loop().create_future()

    def hear(event, _payload):
        if not heard.done():
            heard.set_result((event, asyncio.current_task()))

    listener = Connection(daemon.url, on_event=hear)
    writer = Connection(daemon.url)
    await listener.open()
    await writer.open()
    await listener.request("hello", {"replica": "listener", "models": ["todo"]})
    update = {"model": "todo", "id": "1", "rev": "1-00000000000000aa", "data": {"id": "1"}}
    await writer.request("bulk_update", {"updates": [update]})
    async with asyncio.timeout(WAIT_S):
        event, task = await heard
    reader = listener._client.eio.read_loop_task
    await listener.close()
    await writer.close()

    assert ("changed", reader) == (event, task)


async def test_what_changed_carries_is_left_encoded(daemon):
    heard = asyncio.Queue()
    listener = Connection(daemon.url, on_event=lambda _event, payload: heard.put_nowait(payload))
    bare = Connection(
        daemon.url, on_event=lambda _event, payload: heard.put_nowait(payload), bare=True
    )
    await listener.open()
    await bare.open()
    await listener.request("hello", {"replica": "listener", "models": ["todo"]})
    update = {"model": "todo", "id": "1", "rev": "1-00000000000000aa", "data": {"id": "1"}}
    await listener.request("bulk_update", {"updates": [update]})
    async with asyncio.timeout(WAIT_S):
        payloads = [await heard.get(), await heard.get()]
    await listener.close()
    await bare.close()

    assert {bytes, str} == {type(payload) for payload in payloads}
    assert "todo" in payloads
