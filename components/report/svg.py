"""Plots as SVG that stands within a page: its colours are the page's, in light and in dark."""

import io
import itertools
import re

import markupsafe
import matplotlib
from matplotlib import figure

# Matplotlib draws in these, and the page's style sheet says what they are.
_PLACEHOLDERS = {
    "#010203": "currentColor",
    "#010204": "var(--grid)",
    "#010205": "var(--series-1)",
    "#010206": "var(--series-2)",
    "#010207": "var(--series-3)",
    "#010209": "var(--warning)",
}
FOREGROUND, GRID, *SERIES, WARNING = _PLACEHOLDERS
_STYLE = {
    "svg.fonttype": "none",  # text stays text: small, searchable, in the page's font
    "svg.hashsalt": "muwnet-fer",  # equal plots are equal files
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": FOREGROUND,
    "axes.labelcolor": FOREGROUND,
    "axes.edgecolor": FOREGROUND,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "xtick.color": FOREGROUND,
    "ytick.color": FOREGROUND,
    "grid.color": GRID,
    "legend.facecolor": "none",
    "legend.edgecolor": "none",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_numbers = itertools.count(1)


def make_figure(width: float = 7.0, height: float = 3.6) -> figure.Figure:
    """Returns an empty figure, its size in inches; draw in FOREGROUND, GRID, SERIES, WARNING.

    A Figure of its own, not pyplot: no global state, no display.
    """
    return figure.Figure(figsize=(width, height), layout="constrained")


def style():
    """Returns the context in which axes are made: matplotlib reads its style then."""
    return matplotlib.rc_context(_STYLE)


def render(plot: figure.Figure, alternative: str) -> markupsafe.Markup:
    """Returns an `svg` element that scales with the page, and scrolls where that is too narrow.

    Args:
      alternative: what the plot says, for those who do not see it.
    """
    file = io.StringIO()
    with style():
        plot.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    for placeholder, color in _PLACEHOLDERS.items():
        text = text.replace(placeholder, color)
    # Ids must be one page's own.
    prefix = f"plot{next(_numbers)}-"
    text = re.sub(r'\bid="', f'id="{prefix}', text)
    text = re.sub(r'(href="#|url\(#)', rf"\1{prefix}", text)
    label = markupsafe.escape(alternative)
    text = re.sub(
        r'<svg[^>]*?viewBox="([^"]*)"[^>]*>',
        rf'<svg class="plot" role="img" aria-label="{label}" viewBox="\1" '
        'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">',
        text,
        count=1,
    )
    # Matplotlib escapes what it writes, and the label is escaped above.
    scroller = f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">'
    return markupsafe.Markup(f"{scroller}{text}</div>")  # noqa: S704
