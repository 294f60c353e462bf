"""docs/link.md says what the tables of the link say."""

from kaniwa.link_frames import LINK_REGISTERS, OPERATIONS, PAYLOAD_BYTES, Flag


def test_tables_of_the_page_are_those_of_the_code(root):
    page = (root / "docs" / "link.md").read_text()
    for operation, meanings in OPERATIONS.items():
        assert f"| {operation.value} {operation.name} | {' | '.join(meanings)} |" in page
    for flag in Flag:
        assert f"| {flag.value} {flag.name} | " in page
    assert f"`{LINK_REGISTERS:#x}`" in page
    assert f"{PAYLOAD_BYTES} bytes of data in {PAYLOAD_BYTES + 12} bytes on the line" in page
