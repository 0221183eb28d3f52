"""A bounded number of sends at once: who has more to send waits, and so back to the source."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_LOG = logging.getLogger(__name__)


class Outbox:
    """Runs up to `window` sends at a time, each in a thread, and takes no more than those.

    freed: called whenever there is room again.
    A send answers for its failures itself; one that raises is logged, and that is all.
    """

    def __init__(self, name: str, *, window: int, freed: Callable[[], None] = lambda: None) -> None:
        self._window, self._free, self._freed = window, window, freed
        self._closed = False
        self._changed = threading.Condition()
        self._threads = ThreadPoolExecutor(window, thread_name_prefix=name)

    def has_room(self) -> bool:
        """Whether a send would start at once."""
        with self._changed:
            return self._free > 0

    def put(self, send: Callable[[], None]) -> bool:
        """Start `send`, once there is room for it. Returns whether it was started: it is not once this is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._free > 0 or self._closed)
            if self._closed:
                return False
            self._start(send)
            return True

    def offer(self, send: Callable[[], None]) -> bool:
        """Start `send` if there is room for it now. Returns whether there was."""
        with self._changed:
            if not self._free or self._closed:
                return False
            self._start(send)
            return True

    def wait(self, until_s: float) -> None:
        """Return when nothing is being sent, or at that time of the monotonic clock."""
        with self._changed:
            self._changed.wait_for(lambda: self._free == self._window, max(until_s - time.monotonic(), 0))

    def close(self) -> None:
        """Take nothing more, and have those that wait for room give up; what was started goes on to its end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._threads.shutdown(wait=False)

    def _start(self, send: Callable[[], None]) -> None:
        def sent() -> None:
            try:
                send()
            except Exception:  # nobody looks at what becomes of it
                _LOG.exception("a send failed")
            finally:
                with self._changed:
                    self._free += 1
                    self._changed.notify_all()
                self._freed()

        self._threads.submit(sent)
        self._free -= 1
