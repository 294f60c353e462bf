"""Plain SVG: boxes, text, arrows and bars on a ground that follows light and dark mode."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

__all__ = ["COLORS", "Picture"]

# Okabe and Ito's palette, told apart by the colour-blind; each with black text on it.
COLORS = {"orange": "#e69f00", "sky": "#9bd8f7", "green": "#2fb38c", "yellow": "#f0e442",
          "blue": "#4c93cf", "red": "#e8743b", "pink": "#d98fb8", "grey": "#a9b1b8"}
STYLE = """
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;font-size:13px;fill:#1f2933}
.small{font-size:11px;fill:#3e4c59}.mono{font-family:ui-monospace,Menlo,Consolas,monospace}
.strong{font-weight:600}.ground{fill:#fff}.wire{fill:none;stroke:#52606d;stroke-width:1.5}
.tip{fill:#52606d}.edge{stroke:#52606d;stroke-width:1}.plain{fill:#eef2f6}.on{fill:#14181c}
.rule{stroke:#cbd2d9;stroke-width:1}
@media (prefers-color-scheme:dark){text{fill:#e4e7eb}.small{fill:#b8c2cc}.ground{fill:#14181c}
.wire{stroke:#9aa5b1}.tip{fill:#9aa5b1}.edge{stroke:#9aa5b1}.plain{fill:#323f4b}
.rule{stroke:#3e4c59}.on{fill:#14181c}}
"""


class Picture:
    """A picture of ``width`` by ``height`` pixels; ``title`` is what a screen reader says."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self._size = (width, height)
        self._title = title
        self._parts: list[str] = []

    def box(self, x: float, y: float, width: float, height: float, color: str = "", *,
            radius: float = 4, hint: str = "") -> None:
        """Draw a rectangle in a colour of COLORS, or a plain one; ``hint`` shows under the mouse.
        """
        fill = f'fill="{COLORS[color]}"' if color else ""
        name = "edge" if color else "edge plain"
        title = f"<title>{escape(hint)}</title>" if hint else ""
        self._parts.append(f'<rect class="{name}" {fill} x="{x:g}" y="{y:g}" width="{width:g}" '
                           f'height="{height:g}" rx="{radius:g}">{title}</rect>')

    def bar(self, x: float, y: float, width: float, height: float, color: str,
            hint: str) -> None:
        """Draw a part of a bar, without an edge."""
        self._parts.append(f'<rect fill="{COLORS[color]}" x="{x:.2f}" y="{y:g}" '
                           f'width="{width:.2f}" height="{height:g}">'
                           f"<title>{escape(hint)}</title></rect>")

    def text(self, x: float, y: float, words: str, *, name: str = "",
             anchor: str = "start") -> None:
        """Write ``words`` at a point; ``anchor`` is start, middle or end."""
        self._parts.append(f'<text class="{name}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">'
                           f"{escape(words)}</text>")

    def wire(self, points: Iterable[tuple[float, float]]) -> None:
        """Draw an arrow along ``points``."""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        self._parts.append(f'<polyline class="wire" points="{path}" marker-end="url(#tip)"/>')

    def rule(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Draw a thin line."""
        self._parts.append(f'<line class="rule" x1="{start[0]:g}" y1="{start[1]:g}" '
                           f'x2="{end[0]:g}" y2="{end[1]:g}"/>')

    def legend(self, x: float, y: float, entries: Iterable[tuple[str, str]]) -> None:
        """Write a row of (name, colour)."""
        for name, color in entries:
            self.box(x, y - 10, 12, 12, color, radius=2)
            self.text(x + 18, y, name, name="small")
            x += 34 + 6.4 * len(name)

    def svg(self) -> str:
        """The file's text."""
        width, height = self._size
        lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
                 f'width="{width}" height="{height}" role="img" '
                 f'aria-label="{escape(self._title)}">',
                 f"<title>{escape(self._title)}</title><style>{STYLE}</style>",
                 '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
                 'markerHeight="7" orient="auto"><path class="tip" d="M0,0 L8,4 L0,8 z"/>'
                 "</marker></defs>",
                 f'<rect class="ground" width="{width}" height="{height}" rx="8"/>',
                 *self._parts, "</svg>"]
        return "\n".join(lines) + "\n"
