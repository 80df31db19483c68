"""A stock LoopBack server and a daemon with a Python replica, for the same history."""

import json
import urllib.error
import urllib.request

from tests.loopback.conftest import Agent, Server

from syncline import blocking


class Ends:
    """
    What a history is played at: `stock` and `daemon` are (url, REST, replica).

    Attributes:
        agent: the process of the clients, and of the stock server.
    """

    def __enter__(self):
        self.agent = Agent()
        url = self.agent.server("stock", model="Car")
        self.stock = (url, rest_at(url), None)
        self._server = Server("--model", "Car")
        self._replica = blocking.connect(self._server.url, models=["Car"])
        self._replica.__enter__()
        self.daemon = (self._server.api, rest_at(self._server.api), self._write)
        return self

    def _write(self, record_id, data):
        self._replica.barrier()
        cars = self._replica.model("Car")
        if data is None:
            cars.delete(record_id)
        else:
            cars.put(record_id, data)
        self._replica.flush()

    def __exit__(self, *_):
        self._replica.__exit__(None, None, None)
        self.agent.close()
        assert 0 == self._server.end(), "".join(self._server.errors)


def rest_at(url):
    """Return how to list the records of `Car` there, and to write or delete one."""

    def ask(method, path, data=None):
        body = None if data is None else json.dumps(data).encode()
        asked = urllib.request.Request(f"{url}/Cars{path}", data=body, method=method)
        asked.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def rest(record_id=None, data=None):
        if record_id is None:
            return ask("GET", "")
        if data is None:
            return ask("DELETE", f"/{record_id}")
        return ask("PUT", "", data)

    return rest
