"""An SMTP server that stops at a known stage of a conversation until it is told to go on."""

from __future__ import annotations

import signal
import subprocess
import threading
from pathlib import Path

from campaigns.moments import await_stopped
from servers.smtp_sink import Answer, SmtpSink, Stage


class StageSink(SmtpSink):
    """`arm` a stage, `await_caught`, do what is to be done to the client, `release`.

    A stage is caught before it is answered: `rcpt` before the recipient is accepted, `body` when the go-ahead for the
    mail was given and before any of it is read, `dot` when the mail is whole. What was caught at the dot is kept after
    the release, as a server does whose client has gone away.
    """

    def __init__(self) -> None:
        super().__init__(narrow=True)
        self._turn = threading.Lock()
        self._stage: Stage | None = None
        self._skip = 0
        self._caught = threading.Event()
        self._go = threading.Event()
        self._told = threading.Event()
        self.recipient = ""
        """Of the mail that was caught."""

    def arm(self, stage: Stage, skip: int = 0) -> None:
        """Stop the conversation when it comes to a stage, after letting it pass `skip` times."""
        with self._turn:
            self._caught, self._go, self._told = threading.Event(), threading.Event(), threading.Event()
            self._stage, self._skip, self.recipient = stage, skip, ""

    def release(self) -> None:
        """Let it go on, and stop nowhere."""
        with self._turn:
            self._stage = None
            self._go.set()

    def is_caught(self) -> bool:
        """Whether a conversation stands at the armed stage."""
        return self._caught.is_set()

    def await_caught(self, process: subprocess.Popen[bytes], *, seconds: float) -> bool:
        """Wait until a conversation stands there; False if the client ended or the time passed before."""
        for _ in range(round(seconds / 0.05)):
            if self._caught.wait(0.05):
                return True
            if process.poll() is not None:
                return False
        return False

    def answer_to_stopped(self, process: subprocess.Popen[bytes]) -> None:
        """Stop the client, then answer it: the answer is there, and nobody has read it."""
        process.send_signal(signal.SIGSTOP)
        await_stopped(process.pid)
        told = self._told
        self.release()
        assert told.wait(20), "the answer was sent"

    def answer(self, stage: Stage, addresses: list[str], usual: Answer) -> Answer:
        """Stands still where it was told to."""
        with self._turn:
            stands = self._stage == stage and self._skip <= 0
            self._skip -= self._stage == stage
            go, caught = self._go, self._caught
            if stands:
                self._stage = None
                self.recipient = addresses[0] if addresses else ""
        if stands:
            caught.set()
            while not go.wait(0.05) and not self.stopping.is_set():
                continue
        return super().answer(stage, addresses, usual)

    def said(self, command: str, answer: Answer) -> None:
        """The first answer after a release is that to what was caught."""
        with self._turn:
            if self._go.is_set():
                self._told.set()

    def has_unread(self) -> bool:
        """Whether something has arrived that we have not read."""
        port = f":{self.port:04X}"
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, local, _, _, queues, *_ = line.split()
            if local.endswith(port) and int(queues.partition(":")[2], 16):
                return True
        return False
