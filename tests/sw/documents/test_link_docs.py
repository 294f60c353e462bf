"""docs/link.md says what the tables of the link and the messages of the driver say."""

import ast
import re

from kaniwa.driver.frames import FLASH_STATE, LINK_REGISTERS, OPERATIONS, PAYLOAD_BYTES, Flag
from kaniwa.standalone.format import HEADER_BYTES, MAGIC, MOST_SCORES, FlashState

SOURCES = (*(f"driver/{name}" for name in (
    "link.py", "transports.py", "board_device.py", "identity.py", "bridge_protocol.py",
    "datagrams/transport.py", "datagrams/udp_socket.py", "spi/transport.py")), "standalone/boot.py")


def test_tables_of_the_page_are_those_of_the_code(root):
    page = (root / "docs" / "link.md").read_text()
    for operation, meanings in OPERATIONS.items():
        assert f"| {operation.value} {operation.name} | {' | '.join(meanings)} |" in page
    for flag in Flag:
        assert f"| {flag.value} {flag.name} | " in page
    assert f"`{LINK_REGISTERS:#x}`" in page
    assert f"{PAYLOAD_BYTES} bytes of data in {PAYLOAD_BYTES + 12} bytes on the line" in page


def test_the_image_of_the_page_is_that_of_the_format(root):
    page = (root / "docs" / "link.md").read_text()
    assert f"bits {FLASH_STATE + 2}–{FLASH_STATE}: [the flash]" in page
    for state in FlashState:
        assert f"| {state.value} {state.name} | " in page
    assert MAGIC == b"kaniwa\0\1"
    assert "| 0–7 | `kaniwa`, a zero, and the version of the format, 1 |" in page
    assert f"at most {MOST_SCORES}; 0: no class is shown" in page
    assert f"| from {HEADER_BYTES} on | the body" in page


def test_messages_of_the_page_are_those_of_the_driver(root):
    """The second column of "When something is wrong", each without the port's name in front."""
    rows = (root / "docs" / "link.md").read_text().split("## When something is wrong")[1]
    shown = [double or single for row in re.findall(r"^\| (?!what|-).*$", rows, re.MULTILINE)
             for double, single in re.findall("``(.+?)``|`(.+?)`", row.split(" | ")[1])]
    assert len(shown) > 10
    patterns = [re.compile(pattern.removeprefix(r".*:\ ")) for name in SOURCES
                for pattern in _strings(ast.parse((root / "sw" / name).read_text()))
                if len(pattern.replace(".*", "")) > 20]     # a sentence, not a mere placeholder
    for message in shown:
        assert any(pattern.fullmatch(message) for pattern in patterns), message


def _strings(tree):
    """Each string of the source as a pattern; what is formatted into it matches anything."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".*"
                          for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.escape(node.value)
