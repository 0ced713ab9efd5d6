"""Streaming notifications: the server tells when something changed. A hint only: what changed is asked by syncing, and
mailboxes are polled all the same.

Events between two connections are lost, so every new connection counts as news. Where a server cannot stream, polling
remains; where it breaks off, the next try comes after a growing pause.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Generator, Sequence

from exchangelib.services import GetStreamingEvents

from connectors.errors import AuthRejected, ConnectorError, Misconfigured, ProtocolViolation, Throttled
from connectors.exchange.link import Answer, Link, answer_of
from connectors.exchange.settings import ExchangeSettings
from connectors.exchange.trouble import refusal, translate
from connectors.exchange.words import M, T

__all__ = ["Stream", "StreamHub"]

MINUTES = 29
"""How long the server keeps one connection; 30 is the schema's limit."""
SILENCE = 150.0
"""Seconds without a sign of life (Exchange gives one about every 45) after which a connection counts as dead."""
_EVENTS = ("NewMailEvent", "CreatedEvent", "MovedEvent", "DeletedEvent")
_LONGEST_PAUSE = 300.0
_LASTING = 30.0
"""Seconds after which a stream that ends did what it should."""


class Stream:
    """One mailbox's stream, on a thread and a link of its own. `changed` is called on that thread and must be quick."""

    def __init__(
        self,
        settings: ExchangeSettings,
        changed: Callable[[], None],
        *,
        first_pause: float = 5.0,
        silence: float = SILENCE,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.trouble = ""
        self.hopeless = False
        self._link = Link(settings)
        self._changed = changed
        self._first_pause = first_pause
        self._silence = silence
        self._monotonic = monotonic
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._service: GetStreamingEvents | None = None
        self._subscription = ""
        self._thread = threading.Thread(target=self._run, name=f"stream-{settings.account}", daemon=True)

    @property
    def is_open(self) -> bool:
        """Whether the server would tell of news now."""
        with self._lock:
            return self._service is not None

    def start(self) -> None:
        """Begin listening."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a read that waits is cut short."""
        self._stopping.set()
        self._hang_up()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)

    def _run(self) -> None:
        pause = 0.0
        while not self._stopping.is_set():
            began, asked = self._monotonic(), 0.0
            try:
                self._listen()
                self.trouble = ""
            except (AuthRejected, Misconfigured, ProtocolViolation) as error:
                self.hopeless, self.trouble = True, error.message  # polling tells of it, and goes on
                return
            except ConnectorError as error:
                self.trouble, self._subscription = error.message, ""
                asked = error.retry_after if isinstance(error, Throttled) else 0.0
                self._link.drop()
            lasted = self._monotonic() - began
            pause = 0.0 if lasted > _LASTING else min(_LONGEST_PAUSE, pause * 2 or self._first_pause)
            self._stopping.wait(max(pause, asked))
        self._link.drop()

    def _listen(self) -> None:
        """One connection, until the server has had enough. Raises ConnectorError; a subscription that is gone is made
        anew, without its old watermark."""
        self._subscription = self._subscription or self._subscribe()
        with contextlib.closing(self._messages(self._subscription)) as messages:
            for answer in messages:
                if not answer.is_good:
                    raise refusal(self.settings, answer.code, answer.words)
                if next(iter(answer.within("Notifications")), None) is not None:
                    self._changed()
                if answer.text("ConnectionStatus") == "Closed":
                    return

    def _subscribe(self) -> str:
        wanted = M.StreamingSubscriptionRequest(
            T.EventTypes(*(T.EventType(name) for name in _EVENTS)), SubscribeToAllFolders="true"
        )
        (answer,) = self._link.ask(M.Subscribe(wanted), repeatable=False)
        if not answer.is_good:
            raise refusal(self.settings, answer.code, answer.words)
        return answer.text("SubscriptionId")

    def _messages(self, subscription: str) -> Generator[Answer, None, None]:
        service = GetStreamingEvents(account=self._link.account())
        service.timeout = self.settings.connect_timeout, self._silence
        payload = service.get_payload(subscription_ids=[subscription], connection_timeout=MINUTES)
        try:
            messages = service._get_response_xml(payload=payload)
            with self._lock:
                self._service = service
            if self._stopping.is_set():  # since before there was anything to hang up
                return
            self._changed()
            for message in messages:
                yield answer_of(message)
        except Exception as error:
            if not self._stopping.is_set():
                raise translate(self.settings, error) from error
        finally:
            with self._lock:
                self._service = None
                service.stop_streaming()

    def _hang_up(self) -> None:
        """Shut the socket down under the thread that reads from it."""
        with self._lock, contextlib.suppress(Exception):
            if self._service is not None:
                self._service._streaming_response.raw.shutdown()


class StreamHub:
    """The streams of all mailboxes that are watched; `changed(account)` is called when one has news."""

    def __init__(self, changed: Callable[[str], None]) -> None:
        self._changed = changed
        self._streams: dict[str, Stream] = {}

    def watch(self, wanted: Sequence[ExchangeSettings]) -> None:
        """Watch these mailboxes and no others; those whose settings are the same keep their stream, unless there is
        trouble with it."""
        settings = {one.account: one for one in wanted}
        for name, stream in list(self._streams.items()):
            if settings.get(name) != stream.settings or stream.trouble:
                del self._streams[name]
                stream.stop()
        for name in settings.keys() - self._streams.keys():
            self._streams[name] = Stream(settings[name], lambda name=name: self._changed(name))  # type: ignore[misc]
            self._streams[name].start()

    def streaming(self) -> tuple[str, ...]:
        """The accounts whose server would tell of news now."""
        return tuple(name for name, stream in self._streams.items() if stream.is_open)

    def close(self) -> None:
        """End all streams."""
        for stream in self._streams.values():
            stream.stop()
        self._streams.clear()
