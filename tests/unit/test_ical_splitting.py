"""Taking calendar files apart by UID."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connectors.ical.lines import read_components
from connectors.ical.splitting import take_apart

FRAME = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VTIMEZONE\r\nTZID:X\r\nBEGIN:STANDARD\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"
)
ALARM = "BEGIN:VALARM\r\nUID:of-the-alarm\r\nEND:VALARM\r\n"
UIDS = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2000, exclude_characters="\x85"), min_size=1, max_size=90
)


def folded(line: str, width: int = 40) -> str:
    return "\r\n ".join(line[at : at + width] for at in range(0, len(line), width))


@given(st.lists(UIDS, min_size=1, max_size=6))
def test_each_uid_is_an_object_with_its_frame(uids: list[str]) -> None:
    events = [
        f"BEGIN:VEVENT\r\n{ALARM}{folded(f'UID:{uid}')}\r\nSUMMARY:{n}\r\nEND:VEVENT\r\n" for n, uid in enumerate(uids)
    ]
    pieces = take_apart(f"{FRAME}{''.join(events)}END:VCALENDAR\r\n".encode())
    assert pieces.closed
    assert list(pieces.by_uid) == list(dict.fromkeys(uids))
    for uid in pieces.by_uid:
        ((calendar,), notes) = read_components(pieces.object_of(uid))
        assert (notes, calendar.closed) == ([], True)
        assert [one.name for one in calendar.inner] == ["VTIMEZONE"] + ["VEVENT"] * uids.count(uid)
        said = [one.value("SUMMARY") for one in calendar.inner[1:]]
        assert said == [str(number) for number, one in enumerate(uids) if one == uid]


@given(st.binary(max_size=300), st.text(max_size=300))
def test_nothing_raises(data: bytes, text: str) -> None:
    for one in (data, text.encode("utf-16"), f"BEGIN:VCALENDAR\n{text}".encode()):
        pieces = take_apart(one)
        for uid in pieces.by_uid:
            assert pieces.object_of(uid).endswith(b"END:VCALENDAR\r\n")


def test_one_that_is_cut_off_takes_no_other_along() -> None:
    text = f"{FRAME}BEGIN:VEVENT\nUID:a\nEND:VEVENT\nbegin:vevent\nuid;X=1:b\n\nSUMMARY:x\nEND:VCALENDAR\n"
    pieces = take_apart(text.encode())
    assert (list(pieces.by_uid), pieces.closed) == (["a", "b"], True)
    assert pieces.by_uid["b"][-1] == "SUMMARY:x"
    assert not take_apart(text.encode()[:-20]).closed
