"""docs/isa.md says what the instruction table says."""

from kaniwa import isa
from kaniwa.documents.isa_page import isa_page


def test_page_is_up_to_date(root):
    assert (root / "docs" / "isa.md").read_text() == isa_page(), (
        "run: python -m kaniwa.documents.isa_page > docs/isa.md")


def test_page_has_every_field_and_name():
    page = isa_page()
    names = [*isa.FIELDS, *isa.COUNTERS]
    for kind in (isa.Opcode, isa.Mode, isa.Rounding, isa.Format, isa.Register, isa.ErrorCode):
        names += [item.name for item in kind]
    assert [name for name in names if f"{name}" not in page] == []


def test_members_come_with_their_meaning():
    assert "| 2 | `AWAY` | b = 2^(s-1) for acc >= 0, 2^(s-1) - 1 for acc < 0 |" in isa_page()
