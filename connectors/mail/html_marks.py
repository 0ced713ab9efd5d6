"""How mail programs mark quotes and signatures in HTML: by class, id and style, also with an ``x_`` before it."""

from __future__ import annotations

from typing import Final

# Region kinds; a region opens only inside one of a lower kind, so at most four are open at a time.
GMAIL, SIGNED, QUOTE, HIDDEN = 1, 2, 3, 4
CUT, WEAK, PLAIN = 5, 6, 7
"""A cut quotes everything to the end; a weak one does so if header fields follow."""

_QUOTE_MARKS: Final = (
    "gmail_attr",
    "yahoo_quoted",
    "moz-cite-prefix",
    "protonmail_quote",
    "tutanota_quote",
    "zmail_extra",
    "mailru-quote",
    "mail-quote",
    "ymail_android_quoted",
)
_CUT_MARKS: Final = (
    "divrplyfwdmsg",
    "appendonsend",
    "olk_src_body_section",
    "stopspelling",
    "zwchr",
    "mail-editor-reference-message-container",
)
_SIGNATURE_MARKS: Final = (
    "moz-signature",
    "gmail_signature",
    "data-signatureblock",
    "ms-outlook-mobile-signature",
    "protonmail_signature",
    'id="signature',
    'id="x_signature',
    'id="composer_signature',
    'id="applemailsignature',
    'id="lineberryapplemailsignature',
    "ydpsignature",
    "yahoo-signature",
    'id="zm-_id_-sgn',
    "data-smartmail",
)
_WEAK_MARKS: Final = ("border-top:solid", "border-top:1", "border-top-color", "border-top-style:solid")


def judge_tag(name: str, attributes: str) -> int:
    """Decide what region, if any, a tag with these lower-case attributes opens."""
    attributes = attributes.replace("'", '"')
    if name == "blockquote":
        indent = "border:none" in attributes.replace(" ", "") and "cite" not in attributes
        return PLAIN if indent and "gmail_quote" not in attributes else QUOTE
    if any(mark in attributes for mark in _CUT_MARKS):
        return CUT
    if "gmail_quote" in attributes:
        return GMAIL
    if any(mark in attributes for mark in _QUOTE_MARKS):
        return QUOTE
    if any(mark in attributes for mark in _SIGNATURE_MARKS):
        return SIGNED
    if "display:none" in attributes.replace(" ", ""):
        return HIDDEN
    return WEAK if any(mark in attributes.replace(" ", "") for mark in _WEAK_MARKS) else 0
