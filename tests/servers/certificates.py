"""A certificate authority for one test session and a server certificate for localhost, made by openssl."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from servers.process import find_program


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files in PEM. `ca` is what a client must trust to verify `certificate` for localhost and 127.0.0.1."""

    ca: Path
    certificate: Path
    key: Path


def make_certificates(folder: Path) -> Certificates:
    """A fresh authority and a certificate signed by it, valid for a year; the keys stay in `folder`."""
    openssl = find_program("openssl")
    made = Certificates(ca=folder / "ca.pem", certificate=folder / "server.pem", key=folder / "server.key")
    ca_key, request, extensions = folder / "ca.key", folder / "server.csr", folder / "extensions"
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]

    def run(*arguments: str | Path) -> None:
        subprocess.run([openssl, *map(str, arguments)], check=True, capture_output=True, timeout=60)

    run("req", "-x509", *new_key, "-days", "365", "-subj", "/CN=quietcrm test authority",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        "-keyout", ca_key, "-out", made.ca)  # fmt: skip
    run("req", "-new", *new_key, "-subj", "/CN=localhost", "-keyout", made.key, "-out", request)
    extensions.write_text(
        "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n"
        "extendedKeyUsage=serverAuth\nauthorityKeyIdentifier=keyid\n"
    )
    run("x509", "-req", "-in", request, "-CA", made.ca, "-CAkey", ca_key, "-CAcreateserial",
        "-days", "365", "-extfile", extensions, "-out", made.certificate)  # fmt: skip
    return made
