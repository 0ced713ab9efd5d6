"""Repetitions that never end, by mail: `python -m campaigns.bombs`.

For each: seconds from the mail that lies in the mailbox to its row in the history, the best of three. Each must have
its row within a second, and no more meetings than a mail may bring.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from campaigns.reminders import MARIA, MINUTE, SETTINGS, START

from daemon.app import opened
from daemon.clock import HeldClock
from daemon.requests import answer
from store import history

MOST_SECONDS = 1.0
MOST_MEETINGS = 100
BOMBS = (
    "RRULE:FREQ=SECONDLY",
    "RRULE:FREQ=MINUTELY;INTERVAL=1",
    "RRULE:FREQ=DAILY;INTERVAL=0",
    "RRULE:FREQ=HOURLY;COUNT=99999999",
    "RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30;COUNT=2",
    "RRULE:FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30",
    "RRULE:FREQ=DAILY\r\nEXRULE:FREQ=DAILY",
    "RDATE:" + ",".join(f"2026{n:04}T000000Z" for n in range(101, 1231)) * 9,
    "DURATION:P9999W",
)


MAIL = """\
From: {maria}
To: ana@vendas.example
Subject: Convite
Message-ID: <convite@padariasol.example>
Date: Mon, 16 Nov 2026 12:00:00 +0000
MIME-Version: 1.0
Content-Type: text/calendar; charset=utf-8; method=REQUEST

BEGIN:VCALENDAR
VERSION:2.0
METHOD:REQUEST
BEGIN:VEVENT
UID:visita
DTSTAMP:20261116T120000Z
DTSTART:20261120T130000Z
SUMMARY:Visita
ORGANIZER:mailto:{maria}
ATTENDEE:mailto:ana@vendas.example
{bomb}
END:VEVENT
END:VCALENDAR
"""


def read_one(folder: Path, bomb: str) -> tuple[float, str]:
    """Seconds to the row, and what is wrong with it, "" if nothing."""
    for place in ("new", "cur", "tmp"):
        (folder / "ana" / place).mkdir(parents=True)
    (folder / "quietcrm.yaml").write_text(SETTINGS, encoding="utf-8")
    clock = HeldClock(START)
    with opened(folder, clock) as app:
        answer(app, "customer.import", {"rows": [[2, {"email": MARIA, "company": "Padaria Sol"}]]})
        app.pollers["ana"].poll()
        clock.move(MINUTE)
        mail = MAIL.format(maria=MARIA, bomb=bomb).replace("\r\n", "\n").replace("\n", "\r\n")
        (folder / "ana" / "new" / "1.bomb").write_bytes(mail.encode())
        begun = time.perf_counter()
        app.pollers["ana"].poll()
        with app.store.session() as session:
            kinds = [one.as_dict()["kind"] for one in history.log(session, limit=None)]
        seconds = time.perf_counter() - begun
    if kinds.count("invitation") != 1:
        return seconds, f"{kinds.count('invitation')} rows"
    return seconds, f"{kinds.count('meeting')} meetings" if kinds.count("meeting") > MOST_MEETINGS else ""


def main() -> int:
    """The command line."""
    faults = 0
    for bomb in BOMBS:
        runs = [read_one(Path(tempfile.mkdtemp()), bomb) for _ in range(3)]
        seconds = min(run[0] for run in runs)
        fault = next((run[1] for run in runs if run[1]), "" if seconds <= MOST_SECONDS else "too long")
        faults += bool(fault)
        print(f"{bomb.splitlines()[0][:50]:50}  {seconds:.2f} s  {fault}")
    print(f"bombs: {len(BOMBS)}, {faults} FAULTS" if faults else f"bombs: {len(BOMBS)}, each a row within a second")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
