"""systemd/quietcrm.service: what systemd says of it, what it promises, and the daemon inside its walls."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from campaigns.installed import await_true
from servers.confined import settings, system_calls
from servers.process import find_program, free_port
from servers.users import ImapUser
from service_offices import STOP_SECONDS, Systemd, TestOffice, deliver, import_customers

ROOT = Path(__file__).resolve().parent.parent.parent
UNIT = ROOT / "systemd" / "quietcrm.service"
PAGE = ROOT / "docs" / "how-to" / "debian.md"
CONFINED = ROOT / "tests" / "servers" / "confined.py"
SYSTEM_UNITS = Path("/usr/lib/systemd/system")


@pytest.fixture(scope="module")
def analyze() -> str:
    return find_program("systemd-analyze")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """The root of a machine with Debian's units, our unit, and something executable wherever the unit names it."""
    root = tmp_path / "root"
    shutil.copytree(SYSTEM_UNITS, root / "usr/lib/systemd/system", symlinks=True)
    (root / "lib").symlink_to("usr/lib")
    for name in ("opt/quietcrm/bin/quietcrm", "bin/kill"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("#!/bin/sh\n")
        (root / name).chmod(0o755)
    (root / "etc/systemd/system").mkdir(parents=True)
    shutil.copy(UNIT, root / "etc/systemd/system")
    return root


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_systemd_finds_nothing_wrong(analyze: str, machine: Path) -> None:
    said = run(analyze, "verify", f"--root={machine}", "quietcrm.service")
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")
    unit = machine / "etc/systemd/system/quietcrm.service"
    unit.write_text(unit.read_text().replace("PrivateTmp=yes", "PrivateTpm=yes"))
    (machine / "opt/quietcrm/bin/quietcrm").unlink()
    said = run(analyze, "verify", f"--root={machine}", "quietcrm.service")
    assert "PrivateTpm" in said.stderr, "this test can fail"
    assert "/opt/quietcrm/bin/quietcrm is not executable" in said.stderr


def test_exposure_is_low(analyze: str, machine: Path) -> None:
    command = (analyze, "security", "--offline=yes", "--no-pager", f"--root={machine}", "quietcrm.service")
    said = run(*command, "--threshold=12")
    assert said.returncode == 0, said.stdout[-300:] + said.stderr
    assert run(*command, "--threshold=5").returncode != 0, "this test can fail"


def test_what_the_unit_promises() -> None:
    told = settings(UNIT)
    assert told["Type"] == ["notify"]
    assert told["WatchdogSec"] == ["120"]
    assert told["Restart"] == ["always"]
    assert told["KillMode"] == ["mixed"]
    assert told["User"] == ["quietcrm"]
    assert told["StateDirectory"] == ["quietcrm"]
    assert int(told["TasksMax"][0]) >= 512
    assert re.search(r"^StartLimitIntervalSec=0$", UNIT.read_text(), re.MULTILINE)
    assert not told["LoadCredential"], "which secrets there are only the office knows: a drop-in"
    assert [line.split()[0] for line in told["ExecReload"]] == ["/opt/quietcrm/bin/quietcrm", "/bin/kill"]
    assert re.search(r"^u quietcrm ", (UNIT.parent / "quietcrm.sysusers").read_text(), re.MULTILINE)
    assert "/etc/quietcrm 0750 root quietcrm" in (UNIT.parent / "quietcrm.tmpfiles").read_text()


def test_the_wheel_brings_the_files_the_page_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    shared = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    assert all((ROOT / source).is_file() for source in shared)
    named = set(re.findall(r"/opt/quietcrm/(share/quietcrm/[\w.-]+)", PAGE.read_text()))
    assert named, "the page installs them"
    assert named <= set(shared.values())
    assert "/opt/quietcrm/" + next(iter(re.findall(r"file:/opt/quietcrm/(\S+)", UNIT.read_text()))) in {
        f"/opt/quietcrm/{target}" for target in shared.values()
    }


def test_the_page_and_the_unit_name_the_same_places() -> None:
    page, told = PAGE.read_text(), settings(UNIT)
    program = told["ExecStart"][0].split()[0]
    assert program in page
    assert told["ExecStart"][0].split()[2] == "/etc/quietcrm"
    assert "/var/lib/quietcrm" in page
    assert f"quietcrm-{tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['version']}-py3" in page


def test_the_parser_may_limit_itself_and_nobody_else() -> None:
    allowed = system_calls(settings(UNIT)["SystemCallFilter"])
    assert {"prlimit64", "clone", "execve", "socketpair", "flock", "fsync", "kill"} <= allowed
    assert not {"sched_setaffinity", "setrlimit", "mount", "ptrace", "chown", "bpf"} & allowed


@pytest.fixture
def systemd() -> Iterator[Systemd]:
    with tempfile.TemporaryDirectory() as folder:
        systemd = Systemd(Path(folder) / "notify")
        yield systemd
        systemd.close()


def test_the_walls_hold() -> None:
    probe = "import os, socket, mmap; {}"
    for deed in (
        "os.sched_setaffinity(0, {0})",
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
        "mmap.mmap(-1, 4096, prot=7)",
        "os.chown('/etc', 1, 1)",
    ):
        said = run(sys.executable, str(CONFINED), str(UNIT), sys.executable, "-c", probe.format(deed))
        assert "PermissionError" in said.stderr, deed


def figures(port: int) -> str:
    """What the daemon tells Prometheus."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def oom_score(process: psutil.Process) -> int:
    """How gladly the kernel ends a process where memory runs out."""
    return int(Path(f"/proc/{process.pid}/oom_score_adj").read_text())


def test_the_daemon_works_inside_the_walls(tmp_path: Path, imap_user: ImapUser, systemd: Systemd) -> None:
    """Mail is read by the parser child, settings are reloaded, commands are answered, nothing is written beside the
    settings, and the stop is clean: with every system call that the unit forbids forbidden."""
    office = TestOffice(tmp_path / "office", systemd.path, STATE_DIRECTORY=str(tmp_path / "state"))
    office.add("good", imap_user.server.port, imap_user.name)
    port = free_port()
    office.write(more=f"metrics: {{port: {port}}}\n")
    import_customers(office)
    office.command.before = (sys.executable, str(CONFINED), str(UNIT))
    before = {path for path in office.directory.rglob("*") if path.name != "stderr.log"}
    with office.running() as process:
        systemd.await_message("READY")
        first = deliver(imap_user, 1)
        await_true("the mail is read", lambda: office.knows(first), seconds=120)
        assert not (tmp_path / "office" / "state").exists()
        assert all(oom_score(child) == 1000 for child in psutil.Process(process.pid).children()), "children go first"
        assert 'quietcrm_mails_total{account="good",outcome="logged"} 1.0' in figures(port)
        office.write()
        process.send_signal(signal.SIGHUP)
        assert systemd.await_message("RELOADING")
        assert "refused" not in systemd.await_message("READY")["STATUS"]
        with pytest.raises(OSError, match="refused"):
            figures(port)  # the new settings want none
        second = deliver(imap_user, 2)
        await_true("it reads on", lambda: office.knows(second), seconds=120)
        assert office.command("status")["accounts"]["good"]["state"] == "ok"
        assert office.command("status")["quarantined"] == 0, "no parser child died of the walls"
        process.send_signal(signal.SIGTERM)
        systemd.await_message("STOPPING")
        assert process.wait(STOP_SECONDS) == 0
    said = office.command.said()
    assert "Traceback" not in said
    assert '"level": "error"' not in said
    assert {path for path in office.directory.rglob("*") if path.name != "stderr.log"} == before
    assert {path.name for path in (tmp_path / "state").iterdir()} >= {"crm.db", "hash.key", "quietcrm.lock"}
