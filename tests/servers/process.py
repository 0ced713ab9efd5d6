"""Starting a real server as a child of the tests: unprivileged, on free loopback ports, gone when we are gone."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

REMEDY = "run `make test`, it installs them"


class ServerMissing(RuntimeError):
    """A server program is not installed. The message says how to get it."""

    def __init__(self, program: str) -> None:
        super().__init__(f"{program} is not installed: the tests need real servers; {REMEDY}")


def free_port() -> int:
    """A loopback TCP port that was free a moment ago (the caller starts again with another if it was taken)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def find_program(name: str, *folders: str) -> str:
    """Full path of a server program, looked for in `folders` first; raises ServerMissing."""
    path = os.pathsep.join([*folders, os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    found = shutil.which(name, path=path)
    if found is None:
        raise ServerMissing(name)
    return found


def server_user(*preferred: str) -> pwd.struct_passwd:
    """The account a server runs as: the first of `preferred` that exists if we are root, else ourselves."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return next(known[name] for name in (*preferred, "nobody") if name in known)


def as_user(user: pwd.struct_passwd) -> list[str]:
    """The words before a command that let it run as `user`; empty if that is who we are."""
    if user.pw_uid == os.geteuid():
        return []
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"]


def private_folder(name: str, user: pwd.struct_passwd) -> Path:
    """A new folder with a short path (unix sockets allow 107 bytes), owned by the server's user."""
    folder = Path(tempfile.mkdtemp(prefix=f"quietcrm-{name}-", dir="/tmp"))
    os.chown(folder, user.pw_uid, user.pw_gid)
    return folder


def spawn(command: Sequence[str], user: pwd.struct_passwd, log: Path) -> subprocess.Popen[bytes]:
    """Start a server in the foreground as our child.

    It is told to end (SIGINT) when the thread that started it ends, so a killed test run leaves nothing behind;
    start servers from a thread that lives as long as they should.
    """
    die_with_us = ["setpriv", "--pdeathsig", "INT", "--"]
    with log.open("ab") as sink:
        return subprocess.Popen(
            [*as_user(user), *die_with_us, *command],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
            cwd="/",
        )


def await_port(process: subprocess.Popen[bytes], port: int, log: Path, *, seconds: float = 30.0) -> bool:
    """True once `port` answers, False if the process ended before; raises RuntimeError with the log after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return False
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return True
    stop(process)
    raise RuntimeError(f"the server does not answer on port {port} after {seconds:.0f} s\n{tail(log)}")


def stop(process: subprocess.Popen[bytes], *, seconds: float = 10.0) -> None:
    """End our own child: SIGINT (a fast, clean stop for Dovecot and PostgreSQL), after `seconds` SIGKILL."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def tail(log: Path, lines: int = 30) -> str:
    """The end of a server's log, for an error message."""
    if not log.exists():
        return "(no log)"
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
