"""A bounded number of sends at once: who has more to send waits, and so back to the source."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


class Outbox:
    """Runs up to `window` sends at a time, each in a thread, and takes no more than those.

    A send reports its failures itself; it must not raise.
    """

    def __init__(self, name: str, *, window: int) -> None:
        self._free = threading.BoundedSemaphore(window)
        self._threads = ThreadPoolExecutor(window, thread_name_prefix=name)

    def put(self, send: Callable[[], None]) -> None:
        """Start `send`, once there is room for it."""
        self._free.acquire()
        self._start(send)

    def offer(self, send: Callable[[], None]) -> bool:
        """Start `send` if there is room for it now. Returns whether there was."""
        if not self._free.acquire(blocking=False):
            return False
        self._start(send)
        return True

    def close(self) -> None:
        """Take nothing more; what was started goes on to its end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _start(self, send: Callable[[], None]) -> None:
        def sent() -> None:
            try:
                send()
            finally:
                self._free.release()

        self._threads.submit(sent)
