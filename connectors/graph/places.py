"""Where our own mails lie: found by our mark, else by Message-ID; made as drafts or answers, never twice unseen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from connectors.graph.client import GraphClient, Json, Lost, Refused
from connectors.graph.mails import mail_path, parse_moment
from connectors.graph.outgoing import LIGHT, MARK, attachment, draft, is_heavy, name_of, unnamed, with_reply
from connectors.graph.reader import is_gone
from connectors.model import Enclosure, OutgoingMail

__all__ = ["answered", "by_message_id", "create", "create_draft", "is_edited", "ours", "quoted", "remove"]

_SELECT = "id,internetMessageId,isDraft,isRead,parentFolderId,categories,flag,createdDateTime,lastModifiedDateTime"
_MOST = "50"
_MAKING = timedelta(minutes=2)
"""What we change within this time after a draft was made is our own: its files, its text in an answer."""


def quoted(text: str) -> str:
    """A text as it stands in $filter (OData 4.01, 5.1.1.6.1)."""
    return "'" + text.replace("'", "''") + "'"


def ours(client: GraphClient, message_id: str, folder: str = "") -> list[Json]:
    """Mails that carry this Message-ID as our mark, else as their own; in one folder or in the whole mailbox."""
    by_mark = f"singleValueExtendedProperties/Any(ep: ep/id eq {quoted(MARK)} and ep/value eq {quoted(message_id)})"
    return _list(client, folder, by_mark) or by_message_id(client, message_id, folder)


def by_message_id(client: GraphClient, message_id: str, folder: str = "") -> list[Json]:
    """Mails with this Message-ID."""
    return _list(client, folder, f"internetMessageId eq {quoted(f'<{message_id}>')}")


def is_edited(row: Json) -> bool:
    """Whether somebody worked on a draft after we had made it."""
    made, changed = parse_moment(row.get("createdDateTime")), parse_moment(row.get("lastModifiedDateTime"))
    return changed - made > _MAKING


def remove(client: GraphClient, row: Json) -> bool:
    """Delete a mail in the version that was looked at; False if somebody edits it at this moment."""
    try:
        client.delete(mail_path(str(row["id"])), etag=str(row.get("@odata.etag") or ""))
    except Refused as error:
        if error.status != 412:
            raise
        return False
    return True


def _list(client: GraphClient, folder: str, condition: str) -> list[Json]:
    path = f"/mailFolders/{folder}/messages" if folder else "/messages"
    return list(client.pages(path, {"$filter": condition, "$select": _SELECT, "$top": _MOST}))


def answered(client: GraphClient, mail: OutgoingMail) -> str:
    """The id of the mail that this one answers, "" if it is not in the mailbox."""
    if not mail.in_reply_to:
        return ""
    found = (row for row in by_message_id(client, mail.in_reply_to) if not row.get("isDraft"))
    return next((str(row["id"]) for row in found), "")


def create_draft(client: GraphClient, mail: OutgoingMail) -> Json:
    """A draft in Drafts: an answer within its conversation where what it answers is there. Raises Lost."""
    made = draft(mail)
    if not is_heavy(mail):
        return _create_draft(client, mail, made)
    row = _create_draft(client, mail, unnamed(made))
    with _whole_or_nothing(client, row):
        for file in mail.files:
            _attach(client, row, file)
        return client.patch(mail_path(str(row["id"])), name_of(made))


def _create_draft(client: GraphClient, mail: OutgoingMail, made: Json) -> Json:
    original = answered(client, mail)
    if not original:
        return create(client, "/messages", made, mail.message_id)
    try:
        row = create(client, f"{mail_path(original)}/createReply", with_reply(made), mail.message_id)
    except Refused as error:
        if not is_gone(error):
            raise
        return create(client, "/messages", made, mail.message_id)
    return _as_planned(client, row, made)


def _attach(client: GraphClient, row: Json, file: Enclosure) -> None:
    """Add one file (Microsoft, "Attach large files to Outlook messages")."""
    path = f"{mail_path(str(row['id']))}/attachments"
    if len(file.content) <= LIGHT:
        client.post(path, attachment(file))
        return
    item = {"attachmentType": "file", "name": file.name, "contentType": file.content_type, "size": len(file.content)}
    session = client.post(f"{path}/createUploadSession", {"AttachmentItem": item})
    client.upload(str(session.get("uploadUrl")), file.content)


@contextmanager
def _whole_or_nothing(client: GraphClient, row: Json) -> Iterator[None]:
    """Half a mail is not left behind."""
    try:
        yield
    except BaseException:
        client.delete(mail_path(str(row["id"])))
        raise


def create(client: GraphClient, path: str, body: Json, message_id: str) -> Json:
    """Make a mail. Was the answer lost, it is looked for by its mark. Raises Lost if that does not find it."""
    try:
        return client.post(path, body)
    except Lost:
        found = ours(client, message_id)
        if not found:
            raise
        return found[0]


def _as_planned(client: GraphClient, row: Json, made: Json) -> Json:
    """An answer as the service made it says what we planned, or is made to."""
    names = [name for name in ("subject", "body", "internetMessageId") if name in made]
    if all(row.get(name) == made[name] for name in names) and _recipients(row) == _recipients(made):
        return row
    with _whole_or_nothing(client, row):
        return client.patch(
            mail_path(str(row["id"])), {name: made[name] for name in (*names, "toRecipients", "ccRecipients")}
        )


def _recipients(row: Json) -> list[str]:
    people = (*row.get("toRecipients", ()), *row.get("ccRecipients", ()), *row.get("bccRecipients", ()))
    return [str(one["emailAddress"]["address"]).lower() for one in people]
