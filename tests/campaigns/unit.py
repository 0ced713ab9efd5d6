"""Follows docs/how-to/debian.md on a Debian of its own, word for word, and watches the service as systemd would.

    make unit-test            (a fresh Debian in a chroot; root and debootstrap)

Standard library only: it runs on the Python of that Debian. systemd is not PID 1 in a chroot, so `systemctl start` and
its like do nothing there; what the unit says is then done here: the same command, user, environment and credentials.
"""

from __future__ import annotations

import itertools
import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
PAGE = REPOSITORY / "docs" / "how-to" / "debian.md"
UNIT = Path("/etc/systemd/system/quietcrm.service")
CREDENTIALS = Path("/run/credentials/quietcrm.service")
NOTIFY = "/run/quietcrm-notify"
STATE = Path("/var/lib/quietcrm")
WATCHDOG_SECONDS = 4
STOP_SECONDS = 10


def blocks() -> list[str]:
    """The commands of the page, one block after the other."""
    return re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def settings(*files: Path) -> dict[str, list[str]]:
    """Name -> values, of a unit and its drop-ins."""
    found: dict[str, list[str]] = defaultdict(list)
    for file in files:
        for line in file.read_text("utf-8").splitlines():
            if "=" in line and not line.startswith("#"):
                name, _, value = line.partition("=")
                found[name].append(value)
    return found


def follow(block: str, folder: Path) -> None:
    """Type one block into a shell, and a password where one is asked for."""
    print("--", block.strip().replace("\n", "\n   "), flush=True)
    subprocess.run(["bash", "-euo", "pipefail", "-c", block], cwd=folder, input=b"secret\n", check=True)


class Service:
    """What systemd does with the unit."""

    def __init__(self) -> None:
        self.unit = settings(UNIT, *sorted(Path(f"{UNIT}.d").glob("*.conf")))
        self.user = pwd.getpwnam(self.unit["User"][0])
        Path(NOTIFY).unlink(missing_ok=True)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(NOTIFY)
        os.chmod(NOTIFY, 0o666)  # noqa: PTH101 - a socket
        self.notify.settimeout(30)
        self.process: subprocess.Popen[bytes] | None = None

    def environment(self) -> dict[str, str]:
        """As systemd.exec(5) sets it."""
        shutil.rmtree(CREDENTIALS, ignore_errors=True)
        CREDENTIALS.mkdir(parents=True)
        for text in self.unit["LoadCredential"]:
            name, _, source = text.partition(":")
            shutil.copyfile(source, CREDENTIALS / name)
            (CREDENTIALS / name).chmod(0o400)
            shutil.chown(CREDENTIALS / name, self.user.pw_uid)
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "STATE_DIRECTORY": str(STATE),
            "CREDENTIALS_DIRECTORY": str(CREDENTIALS),
            "NOTIFY_SOCKET": NOTIFY,
            "WATCHDOG_USEC": str(WATCHDOG_SECONDS * 1_000_000),
        }

    def command(self, text: str) -> list[str]:
        """A command line of the unit, as its user."""
        ids = [f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}", "--clear-groups", "--no-new-privs"]
        return ["setpriv", *ids, "--bounding-set=-all", "--inh-caps=-all", "--", *text.split()]

    def start(self) -> None:
        """Start it; it must say READY (there is no mail server here, nor a network it could wait for)."""
        self.process = subprocess.Popen(self.command(self.unit["ExecStart"][0]), env=self.environment(), cwd="/")
        status = self.await_message("READY")["STATUS"]
        beats = [time.monotonic() for _ in range(3) if self.await_message("WATCHDOG")]
        gap = max(later - one for one, later in itertools.pairwise(beats))
        assert gap < WATCHDOG_SECONDS, gap
        print(f"   READY, STATUS={status}, WATCHDOG every {gap:.1f} s of {WATCHDOG_SECONDS}", flush=True)

    def reload(self) -> None:
        """What `systemctl reload` does."""
        assert self.process
        for text in self.unit["ExecReload"]:
            command = self.command(text.replace("$MAINPID", str(self.process.pid)))
            subprocess.run(command, env=self.environment(), cwd="/", check=True)
        self.await_message("RELOADING")
        assert "refused" not in self.await_message("READY")["STATUS"]
        print("   RELOADING, READY", flush=True)

    def stop(self) -> None:
        """What `systemctl stop` does: SIGTERM, and a clean end within ten seconds."""
        assert self.process
        began = time.monotonic()
        self.process.terminate()
        assert self.process.wait(STOP_SECONDS) == 0
        print(f"   stopped after {time.monotonic() - began:.1f} s", flush=True)
        self.await_message("STOPPING")
        self.process = None

    def await_message(self, key: str) -> dict[str, str]:
        """The next message of the daemon with this key."""
        while True:
            lines = self.notify.recv(65536).decode().splitlines()
            told = dict(line.partition("=")[::2] for line in lines)
            if key in told:
                return told


def look_at_unit() -> None:
    """systemd's own verdict on what is installed."""
    said = subprocess.run(["systemd-analyze", "verify", str(UNIT)], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout, said.stderr) == (0, "", ""), said
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold=12", UNIT.name]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said
    print("   verify: clean;", said.stdout.strip().splitlines()[-1].lstrip("→ "), flush=True)


def look_at_places() -> None:
    """Who may do what where."""
    user = pwd.getpwnam("quietcrm")
    etc, state = Path("/etc/quietcrm").stat(), STATE.stat()
    assert (etc.st_uid, etc.st_gid, etc.st_mode & 0o7777) == (0, user.pw_gid, 0o750)
    assert (state.st_uid, state.st_mode & 0o7777) == (user.pw_uid, 0o700)
    assert not (Path("/etc/quietcrm") / "state").exists(), "the state lies in /var/lib/quietcrm"
    for name in ("crm.db", "hash.key", "quietcrm.lock"):
        assert (STATE / name).stat().st_uid == user.pw_uid, name
        assert (STATE / name).stat().st_mode & 0o077 == 0, name


def main() -> None:
    """The whole page."""
    here, there = Path("/").stat(), Path("/proc/1/root").stat()
    if os.geteuid() != 0 or (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino):
        sys.exit("this installs into the system it runs on; use: make unit-test")
    wheels = REPOSITORY / "dist"
    service: Service | None = None
    for block in blocks():
        if "systemd-run" in block:  # wants systemd as PID 1
            continue
        if service and service.process and "systemctl stop" in block:
            service.stop()
        follow(block, wheels if ".whl" in block else Path("/root"))
        if "systemctl restart" in block:
            look_at_unit()
            service = Service()
            service.start()
            look_at_places()
        elif service and "systemctl start" in block:
            service.start()
        elif service and "systemctl reload" in block:
            service.reload()
    assert service
    assert not UNIT.exists()
    assert not Path("/opt/quietcrm").exists()
    assert (STATE / "crm.db").exists(), "the history stays"
    print("unit: every command of docs/how-to/debian.md did what it says", flush=True)


if __name__ == "__main__":
    main()
