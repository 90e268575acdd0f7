"""The figures as a picture: an SVG of its own, for light and dark backgrounds, without any library."""

import re
from xml.sax.saxutils import escape

from works import BY_NAME

WIDTH, MARGIN, COLUMN, GAP = 960, 24, 440, 32
NAME, BAR, LINE, HEAD, BETWEEN = 96, 268, 18, 26, 16
"""Of a panel: the names' width, the longest bar, the height of a bar with its gap, of a title, and what is below."""

TITLE = 60

STYLE = """
svg { font: 12px system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
.ground { fill: #ffffff; stroke: #d0d7de; }
text { fill: #1f2328; }
.small { fill: #59636e; }
.other { fill: #afb8c1; }
.ours { fill: #0969da; }
.floor { fill: none; stroke: #818b98; stroke-dasharray: 3 2; }
.title { font-size: 16px; font-weight: 600; }
.work { font-weight: 600; }
@media (prefers-color-scheme: dark) {
  .ground { fill: #0d1117; stroke: #3d444d; }
  text { fill: #f0f6fc; }
  .small { fill: #9198a1; }
  .other { fill: #656c76; }
  .ours { fill: #4493f8; }
  .floor { stroke: #9198a1; }
}
"""

PROPER = {
    "edgeway": "Edgeway",
    "haproxy": "HAProxy",
    "haproxy-2.8": "HAProxy",
    "envoy": "Envoy",
    "traefik": "Traefik",
    "caddy": "Caddy",
}
KINDS = {"cpu_us": "µs", "p99": "ms", "idle_kib": "KiB"}


def chart(found):
    """One panel for each work that more than one gateway did, in two columns."""
    panels = [panel for panel in map(panel_of, grouped(found["rows"])) if panel]
    heights, placed, names = [TITLE, TITLE], [], shown(found["versions"])
    for title, bars in panels:
        column = heights.index(min(heights))
        placed.append(drawn(title, bars, names, MARGIN + column * (COLUMN + GAP), heights[column]))
        heights[column] += HEAD + LINE * len(bars) + BETWEEN
    height = max(heights) + MARGIN
    says = "CPU per request of gateways, by work"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            f'role="img" aria-label="{says}">',
            f"<title>{says}</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="ground" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>',
            label(MARGIN, 30, "What a request costs", "title"),
            label(MARGIN, 48, "CPU µs per request where nothing else is said; shorter is better", "small"),
            *placed,
            label(MARGIN, height - 10, found["how"], "small"),
            "</svg>\n",
        ]
    )


def grouped(rows):
    """Rows by work, in their order."""
    works = {}
    for row in rows:
        works.setdefault(row["work"], []).append(row)
    return works.items()


def panel_of(named):
    """Title and bars (name, value, text) of a work, the shortest first; nothing where nobody is beside."""
    name, rows = named
    work = BY_NAME[name]
    figure = "idle_kib" if work.idle else "p99" if work.rate else "cpu_us"
    if len(rows) < 2:
        return None
    scale = 1000 if figure == "p99" else 1
    values = sorted((row[figure] / scale, row["gateway"]) for row in rows)
    digits = 2 if figure == "p99" else 1
    bars = [(gateway, value, f"{value:.{digits}f} {KINDS[figure]}") for value, gateway in values]
    more = {"p99": ": 99th percentile of latency", "idle_kib": ": memory of each"}.get(figure, "")
    return work.says[0].upper() + work.says[1:] + more, bars


def shown(versions):
    """Names as their makers write them; of HAProxy, of which there are two, with the number."""
    found = {}
    for name, version in versions.items():
        number = re.search(r"version (\d+\.\d+)", version) if name.startswith("haproxy") else None
        found[name] = " ".join([PROPER.get(name, name), *([number.group(1)] if number else [])])
    return found


def drawn(title, bars, names, left, top):
    """A panel."""
    longest = max(value for _, value, _ in bars) or 1
    parts = [label(left, top + 16, title, "work")]
    for place, (gateway, value, text) in enumerate(bars):
        y = top + HEAD + place * LINE
        kind = {"edgeway": "ours", "pass-through": "floor"}.get(gateway, "other")
        width = max(1.0, BAR * max(0.0, value) / longest)
        parts.append(label(left, y + 11, names.get(gateway, gateway), "work" if gateway == "edgeway" else ""))
        size = f'width="{width:.1f}" height="{LINE - 6}" rx="2"'
        parts.append(f'<rect class="{kind}" x="{left + NAME}" y="{y + 1}" {size}/>')
        parts.append(label(left + NAME + width + 6, y + 11, text, "small"))
    return "\n".join(parts)


def label(x, y, text, kind):
    """A line of text."""
    return f'<text x="{x:g}" y="{y:g}"{f" class={chr(34)}{kind}{chr(34)}" if kind else ""}>{escape(text)}</text>'
