"""A way to a server that can be disturbed: cut, delayed, throttled, half open, a black hole.

`Proxy` forwards every connection to a port of this machine. What it does to them is set by the test at any time, from
the test's own thread; it holds for all connections, open and to come.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from dataclasses import dataclass, field

CHUNK = 2048


@dataclass
class Way:
    """One direction of all connections."""

    delay: float = 0.0
    """Seconds by which every chunk comes later."""
    rate: float = 0.0
    """Bytes a second; 0 is no limit."""
    open: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared: nothing is taken and nothing comes through, as in a black hole."""


class Proxy:
    def __init__(self, port: int) -> None:
        self.target = port
        self.port = 0
        self.accepted = 0
        """Connections that were accepted."""
        self.budgets: list[int] = []
        """How many bytes of the answer each of the next connections lets through before it is cut."""
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._call(self._listen())

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _listen(self) -> None:
        self.up, self.down = Way(), Way()
        self.up.open.set()
        self.down.open.set()
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", 0, limit=CHUNK)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _forward(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        self.accepted += 1
        budget = self.budgets.pop(0) if self.budgets else None
        try:
            server, to_server = await asyncio.open_connection("127.0.0.1", self.target, limit=CHUNK)
        except OSError:
            to_client.transport.abort()
            return
        # Little room in the kernel, so that who is throttled is slow to the server too.
        to_server.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
        to_client.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 << 10)
        pair = (to_client, to_server)
        self._pairs.add(pair)
        ways = [
            asyncio.ensure_future(self._pump(client, to_server, self.up, None)),
            asyncio.ensure_future(self._pump(server, to_client, self.down, budget)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            self._pairs.discard(pair)
            for end in pair:
                end.transport.abort()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, way: Way, budget: int | None
    ) -> None:
        with contextlib.suppress(OSError):
            while budget is None or budget > 0:
                await way.open.wait()
                chunk = await source.read(CHUNK if budget is None else min(CHUNK, budget))
                if not chunk:
                    return
                # What was taken before the way closed waits with the rest.
                await way.open.wait()
                if way.delay:
                    await asyncio.sleep(way.delay)
                if way.rate:
                    await asyncio.sleep(len(chunk) / way.rate)
                sink.write(chunk)
                await sink.drain()
                if budget is not None:
                    budget -= len(chunk)

    def cut(self) -> int:
        """Cuts all connections on both sides, without a goodbye; says how many."""

        async def cut() -> int:
            pairs = list(self._pairs)
            for end in (end for pair in pairs for end in pair):
                end.transport.abort()
            return len(pairs)

        return self._call(cut())

    def half_open(self) -> None:
        """Lets the server see its clients go, of which these know nothing: nothing comes any more."""

        async def half_open() -> None:
            self.down.open.clear()
            for _, to_server in self._pairs:
                to_server.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

        self._call(half_open())

    def shape(self, *, delay: float = 0.0, rate: float = 0.0) -> None:
        """Delays both directions by so many seconds, and lets so many bytes a second through to the clients."""

        async def shape() -> None:
            self.up.delay = self.down.delay = delay
            self.down.rate = rate

        self._call(shape())

    def hold(self, held: bool = True) -> None:
        """A black hole in both directions, or no longer."""

        async def hold() -> None:
            for way in (self.up, self.down):
                (way.open.clear if held else way.open.set)()

        self._call(hold())

    def stop(self) -> None:
        async def stop() -> None:
            self._server.close()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self._call(stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
