"""Speed of reading mail: microseconds a mail in this process and through the pool, all processes counted, and memory.

python -m bench.parsing [COUNT]
"""

from __future__ import annotations

import resource
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from connectors.mail.mime import build_message, parse_mail, read_mail
from connectors.model import RawMail, RawPart
from connectors.parsing import ParserPool

BATCH = 200
WINDOW = 40
"""Mails timed at once; the best window is the one that other work on the machine disturbed least."""

HEADER = """Return-Path: <{local}@padaria{n}.example>\r
Delivered-To: ana@vendas.example\r
Received: from mx1.vendas.example (mx1.vendas.example [192.0.2.1])\r
\tby mail.vendas.example (Postfix) with ESMTPS id 4F5D{n:08x}\r
\tfor <ana@vendas.example>; Mon, 2 Nov 2026 10:11:12 -0300 (-03)\r
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=padaria{n}.example;\r
\ts=mail; h=from:to:subject:date:message-id; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\r
\tb=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\r
Authentication-Results: mx1.vendas.example; dkim=pass header.d=padaria{n}.example; spf=pass\r
From: =?UTF-8?Q?Maria_Jos=C3=A9_{n}?= <{local}@padaria{n}.example>\r
To: Ana Lima <ana@vendas.example>\r
Cc: "Souza, Bruno" <bruno{n}@vendas.example>, carlos@padaria{n}.example\r
Subject: =?UTF-8?Q?Re:_Proposta_{n}_=E2=80=94_pre=C3=A7os?=\r
Date: Mon, 02 Nov 2026 10:{minute:02d}:10 -0300\r
Message-ID: <CAF{n}+abc=def@mail.padaria{n}.example>\r
In-Reply-To: <20261101.{n}@vendas.example>\r
References: <20261030.{n}@vendas.example> <20261101.{n}@vendas.example>\r
MIME-Version: 1.0\r
Content-Type: text/plain; charset={charset}\r
Content-Transfer-Encoding: 8bit\r
X-Mailer: Apple Mail (2.3608.120.23.2.7)\r
\r
"""

TEXT = """Oi Ana,\r
\r
Obrigada pela proposta {n}. Podemos fechar com o preço de {n} reais?\r
Preciso da entrega até quinta-feira, e de uma cópia do contrato assinado.\r
\r
Abraço,\r
Maria\r
--\r
Maria José Souza\r
Padaria Sol\r
+55 11 5555-0100\r
\r
Em dom., 1 de nov. de 2026 às 09:00, Ana Lima <ana@vendas.example> escreveu:\r
\r
> Olá Maria,\r
>\r
> segue a proposta {n} com os preços novos.\r
> Qualquer dúvida estou à disposição.\r
>\r
> Ana\r
"""


def make_mail(number: int) -> RawMail:
    """An ordinary answer in a thread, of somebody new each time, as the IMAP source would hand it over."""
    charset = ("utf-8", "iso-8859-1", "utf-8", "windows-1252")[number % 4]
    header = HEADER.format(n=number, local=f"maria{number}", minute=number % 60, charset=charset)
    return RawMail(
        account="ana",
        folder="INBOX",
        ref=f"1:{number}",
        received_at=datetime(2026, 11, 2, 13, tzinfo=UTC) + timedelta(seconds=number),
        size=4000,
        header=header.encode("ascii"),
        parts=(
            RawPart(
                content_type="text/plain",
                parameters=(("charset", charset),),
                encoding="8bit",
                body=TEXT.format(n=number).encode(charset),
            ),
        ),
    )


def cpu() -> float:
    """CPU seconds of this process and its ended children."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def measure_pss(pid: int) -> float:
    """Megabytes that process takes, shared pages shared out."""
    line = next(line for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) / 1024


def measure_window(mails: list[RawMail]) -> float:
    """CPU seconds a mail."""
    start = time.process_time()
    for raw in mails:
        build_message(raw, read_mail(raw))
    return (time.process_time() - start) / len(mails)


def main() -> None:
    """Print one line each."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    mails = [make_mail(number) for number in range(count)]
    for raw in mails[:100]:
        parse_mail(raw)
    windows = sorted(measure_window(mails[at : at + WINDOW]) for at in range(0, count, WINDOW))
    middle = windows[len(windows) // 2]
    print(f"inline: {middle * 1e6:.0f} us/mail median, {windows[0] * 1e6:.0f} best window, {1 / middle:.0f} mails/s")
    pool = ParserPool()
    pool.parse(mails[:1])
    child = pool._workers[0].child
    assert child is not None
    first = measure_pss(child.process.pid)
    before, ticks, start = cpu(), _child_seconds(child.process.pid), time.monotonic()
    futures = [pool.submit(mails[at : at + BATCH]) for at in range(0, count, BATCH)]
    answered = sum(len(future.result()) for future in futures)
    wall, used = time.monotonic() - start, cpu() - before + _child_seconds(child.process.pid) - ticks
    print(f"pool: {used / answered * 1e6:.0f} us/mail in all processes, {answered / wall:.0f} mails/s of wall time")
    print(f"child: {first:.1f} MB PSS at the start, {measure_pss(child.process.pid):.1f} MB after {answered} mails")
    pool.close()


def _child_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/schedstat").read_text().split()
    return int(fields[0]) / 1e9


if __name__ == "__main__":
    main()
