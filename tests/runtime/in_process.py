"""A transport within one process, without a network: small, and as unlike Zenoh as can be."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from offramp.runtime.transport.interface import Handler, NoReceiverError, NoReplyError, RefusedError, Withdraw


class InProcessNetwork:
    """What the participants share."""

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {}
        self.names: set[str] = set()
        self.watchers: list[Callable[[str], None]] = []
        self.lock = threading.Lock()
        self._joined: list[InProcessTransport] = []

    def join(self) -> "InProcessTransport":
        """Another participant."""
        self._joined.append(InProcessTransport(self))
        return self._joined[-1]

    def close(self) -> None:
        for transport in self._joined:
            transport.close()


class InProcessTransport:
    """A `Transport` of one participant."""

    def __init__(self, network: InProcessNetwork) -> None:
        self._network = network
        self._threads = ThreadPoolExecutor(64)
        self._withdrawals: list[Withdraw] = []

    def ask(self, key: str, payload: bytes, *, timeout_s: float) -> bytes:
        handler = self._network.handlers.get(key)
        try:
            if handler is None:
                raise NoReceiverError
            return self._threads.submit(handler, payload).result(timeout_s)
        except TimeoutError:
            raise NoReplyError from None
        except (NoReceiverError, RefusedError):
            raise
        except Exception as error:
            raise RefusedError(repr(error)) from error

    def answer(self, key: str, handler: Handler) -> Withdraw:
        self._network.handlers[key] = handler
        return self._kept(lambda: self._network.handlers.pop(key, None))

    def announce(self, name: str) -> Withdraw:
        def withdraw() -> None:
            with self._network.lock:
                lost, watchers = name in self._network.names, list(self._network.watchers)
                self._network.names.discard(name)
            for watcher in watchers if lost else ():
                watcher(name)

        self._network.names.add(name)
        return self._kept(withdraw)

    def watch(self, lost: Callable[[str], None]) -> Withdraw:
        def withdraw() -> None:
            with self._network.lock:
                self._network.watchers = [watcher for watcher in self._network.watchers if watcher is not lost]

        self._network.watchers.append(lost)
        return self._kept(withdraw)

    def present(self) -> set[str]:
        return set(self._network.names)

    def close(self) -> None:
        for withdraw in self._withdrawals:
            withdraw()
        self._threads.shutdown(wait=False)

    def _kept(self, withdraw: Callable[[], object]) -> Withdraw:
        def withdraw_once() -> None:
            withdraw()

        self._withdrawals.append(withdraw_once)
        return withdraw_once
