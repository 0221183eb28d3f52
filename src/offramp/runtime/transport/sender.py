"""A bounded number of sends at once, so that a slow link holds back its senders, tier by tier up to the source."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_LOG = logging.getLogger(__name__)


class SendWindow:
    """Runs up to `window` sends at a time, each in a thread, and accepts no more than those.

    name: of its threads.
    freed: called whenever there is room again.
    A send handles its own failures; one that raises is logged.
    """

    def __init__(self, name: str, *, window: int, freed: Callable[[], None] = lambda: None) -> None:
        self._window, self._free, self._freed = window, window, freed
        self._closed = False
        self._changed = threading.Condition()
        self._threads = ThreadPoolExecutor(window, thread_name_prefix=name)

    def has_room(self) -> bool:
        """Whether a send would start immediately."""
        with self._changed:
            return self._free > 0

    def put(self, send: Callable[[], None]) -> bool:
        """Start `send` once there is room for it. Returns whether it was started: False after `close`."""
        with self._changed:
            self._changed.wait_for(lambda: self._free > 0 or self._closed)
            if self._closed:
                return False
            self._start(send)
            return True

    def offer(self, send: Callable[[], None]) -> bool:
        """Start `send` if there is room for it now. Returns whether it was started."""
        with self._changed:
            if not self._free or self._closed:
                return False
            self._start(send)
            return True

    def wait(self, until_s: float) -> None:
        """Return when no send is running, or at that time of the monotonic clock."""
        with self._changed:
            self._changed.wait_for(lambda: self._free == self._window, max(until_s - time.monotonic(), 0))

    def close(self) -> None:
        """Accept nothing more and wake up those that wait for room; sends that were started run to their end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._threads.shutdown(wait=False)

    def _start(self, send: Callable[[], None]) -> None:
        def sent() -> None:
            try:
                send()
            except Exception:  # nobody looks at its future
                _LOG.exception("a send failed")
            finally:
                with self._changed:
                    self._free += 1
                    self._changed.notify_all()
                self._freed()

        self._threads.submit(sent)
        self._free -= 1
