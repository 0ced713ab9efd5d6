"""Folders as mail servers name them: modified UTF-7, and where they lie in a Maildir++ tree."""

from __future__ import annotations

import base64
import re
from pathlib import Path


def encode_utf7(name: str) -> str:
    """One level of a folder name in modified UTF-7 (RFC 3501, 5.1.3), as it stands on disk and on the wire."""

    def encode(run: re.Match[str]) -> str:
        if run[0] == "&":
            return "&-"
        packed = base64.b64encode(run[0].encode("utf-16-be")).decode().rstrip("=")
        return f"&{packed.replace('/', ',')}-"

    return re.sub(r"&|[^\x20-\x7e]+", encode, name)


def maildir_path(root: Path, folder: str) -> Path:
    """Where a folder (decoded name, levels separated by /) lies below a Maildir++ root."""
    return root if folder == "INBOX" else root / ("." + ".".join(map(encode_utf7, folder.split("/"))))
