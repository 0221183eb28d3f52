"""A bounded number of sends at once: who has more to send waits, and so back to the source."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


class Outbox:
    """Runs up to `window` sends at a time, each in a thread, and takes no more than those.

    freed: called whenever there is room again.
    A send reports its failures itself; it must not raise.
    """

    def __init__(self, name: str, *, window: int, freed: Callable[[], None] = lambda: None) -> None:
        self._free, self._freed = window, freed
        self._changed = threading.Condition()
        self._threads = ThreadPoolExecutor(window, thread_name_prefix=name)

    def has_room(self) -> bool:
        """Whether a send would start at once."""
        with self._changed:
            return self._free > 0

    def put(self, send: Callable[[], None]) -> None:
        """Start `send`, once there is room for it."""
        with self._changed:
            self._changed.wait_for(lambda: self._free > 0)
            self._start(send)

    def offer(self, send: Callable[[], None]) -> bool:
        """Start `send` if there is room for it now. Returns whether there was."""
        with self._changed:
            if not self._free:
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
                with self._changed:
                    self._free += 1
                    self._changed.notify()
                self._freed()

        self._threads.submit(sent)
        self._free -= 1
