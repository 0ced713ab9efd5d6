"""What can go wrong with an EWS server, and the oracle that reads along: Microsoft's own schema of the protocol."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random

from lxml import etree
from servers.ews_items import MNS, TNS, Element

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
ERRORS = "http://schemas.microsoft.com/exchange/services/2006/errors"

OLDER = ("Exchange2010_SP2", "Exchange2013", "Exchange2013_SP1")
BEFORE = ("503", "429", "busy500", "busy200", "504", "cut", "html")
"""The request was not carried out. `cut` = the connection ends without an answer."""
AFTER = ("504-done", "cut-done", "half-done")
"""It was, and the answer does not say so."""


@dataclass
class Faults:
    """Which of the next requests go wrong. `scripts` by operation ("" = any), one each; `rate` of all others."""

    scripts: dict[str, list[str]] = field(default_factory=dict)
    rate: float = 0.0
    kinds: tuple[str, ...] = (*BEFORE, *AFTER)
    random: Random = field(default_factory=lambda: Random(1))
    struck: list[tuple[str, str]] = field(default_factory=list)

    def script(self, operation: str, *kinds: str) -> None:
        """The next calls of an operation end like this, one each."""
        self.scripts.setdefault(operation, []).extend(kinds)

    def next(self, operation: str) -> str:
        """ "" or how this call goes wrong."""
        for name in (operation, ""):
            if waiting := self.scripts.get(name):
                kind = waiting.pop(0)
                break
        else:
            kind = self.random.choice(self.kinds) if self.rate and self.random.random() < self.rate else ""
        if kind:
            self.struck.append((operation, kind))
        return kind


@cache
def _schema(path: Path) -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(path))


class Oracle:
    """Checks requests and answers where the published schema lies beside the repository; else says nothing."""

    def __init__(self) -> None:
        stated = os.environ.get("QUIETCRM_ORACLES")
        root = Path(stated) if stated else Path(__file__).resolve().parents[3] / "shared" / "oracles"
        self._folder = root / "ews"

    @property
    def present(self) -> bool:
        return (self._folder / "messages.xsd").is_file()

    def complaints(self, envelope: Element) -> list[str]:
        """What is wrong with a SOAP envelope, each with the element it is about."""
        if not self.present:
            return []
        found = []
        header, body = envelope.find(f"{{{SOAP}}}Header"), envelope.find(f"{{{SOAP}}}Body")
        for one in header if header is not None else ():
            if one.get("Version") in OLDER:  # the published schema is that of 2016 and knows no other
                continue
            if not _schema(self._folder / "types.xsd").validate(one):
                found.append(f"header {one.tag}: {_schema(self._folder / 'types.xsd').error_log.last_error}")
        for one in body if body is not None else ():
            if one.tag != f"{{{SOAP}}}Fault" and not _schema(self._folder / "messages.xsd").validate(one):
                found.append(f"{one.tag}: {_schema(self._folder / 'messages.xsd').error_log.last_error}")
        return found


def envelope(content: Element) -> bytes:
    """A SOAP answer as Exchange writes one."""
    root = etree.Element(f"{{{SOAP}}}Envelope", nsmap={"s": SOAP})
    header = etree.SubElement(root, f"{{{SOAP}}}Header")
    version = {"MajorVersion": "15", "MinorVersion": "2", "MajorBuildNumber": "1748", "MinorBuildNumber": "10",
               "Version": "V2017_07_11"}  # fmt: skip
    etree.SubElement(header, f"{{{TNS}}}ServerVersionInfo", version, nsmap={"t": TNS})
    etree.SubElement(root, f"{{{SOAP}}}Body").append(content)
    return bytes(etree.tostring(root, xml_declaration=True, encoding="utf-8"))


def soap_fault(code: str, text: str, *, back_off: float | None = None) -> bytes:
    """A SOAP fault with an EWS ResponseCode, as Exchange writes one."""
    pause = (
        f'<t:MessageXml xmlns:t="{TNS}"><t:Value Name="BackOffMilliseconds">{int(back_off * 1000)}</t:Value>'
        "</t:MessageXml>"
        if back_off is not None
        else ""
    )
    return (
        f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="{SOAP}"><s:Body><s:Fault>'
        f'<faultcode xmlns:a="{TNS}">a:{code}</faultcode><faultstring xml:lang="en-US">{text}</faultstring>'
        f'<detail><e:ResponseCode xmlns:e="{ERRORS}">{code}</e:ResponseCode>'
        f'<e:Message xmlns:e="{ERRORS}">{text}</e:Message>{pause}</detail></s:Fault></s:Body></s:Envelope>'
    ).encode()


__all__ = ["AFTER", "BEFORE", "ERRORS", "MNS", "SOAP", "Faults", "Oracle", "envelope", "soap_fault"]
