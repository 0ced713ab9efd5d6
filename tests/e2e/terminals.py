"""A pair of terminal ends for tests. A bare chroot has none until devpts is mounted."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
from pathlib import Path

UNLOCK, NUMBER = 0x40045431, 0x80045430
"""TIOCSPTLCK and TIOCGPTN of Linux (ioctl_tty(2))."""


def open_terminal() -> tuple[int, int]:
    """(our end, the program's end). In a chroot without /dev/pts root mounts it first."""
    try:
        return pty.openpty()
    except OSError:
        if os.geteuid() != 0:
            raise
    if not Path("/dev/pts/ptmx").exists():
        Path("/dev/pts").mkdir(exist_ok=True)
        options = "newinstance,ptmxmode=0666,mode=0620"
        subprocess.run(["mount", "-t", "devpts", "-o", options, "devpts", "/dev/pts"], check=True)
    # /dev/ptmx itself may belong to the instance of the host, so the pair is made by hand.
    ours = os.open("/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY)
    fcntl.ioctl(ours, UNLOCK, struct.pack("i", 0))
    (number,) = struct.unpack("I", fcntl.ioctl(ours, NUMBER, bytes(4)))
    return ours, os.open(f"/dev/pts/{number}", os.O_RDWR | os.O_NOCTTY)
