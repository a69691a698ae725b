"""Draws a dashboard as one SVG, without Grafana: `check.py --render FILE` asks, and this draws what is answered."""

import math
import re
from xml.sax.saxutils import escape

WIDTH, MARGIN = 1440, 10
# A column and a row of the dashboard's grid; there are 24 columns.
COLUMN, ROW = (WIDTH - 2 * MARGIN) / 24, 25
COLORS = ["#3274d9", "#e8713c", "#37872d", "#a352cc", "#c4162a", "#1f9e98", "#b8860b", "#8f5a3c", "#5d6b7a", "#e0529c"]
# More points than that cannot be told apart.
POINTS = 60
# Pixels of a letter of the legend, about.
LETTER = 6.0


def scaled(value, units, base):
    """A number with the largest of these units that it reaches."""
    at = 0
    while abs(value) >= base and at + 1 < len(units):
        value, at = value / base, at + 1
    return f"{value:.0f}{units[at]}" if abs(value) >= 100 else f"{value:.2g}{units[at]}"


def shown(value, unit):
    """A number as the panel's unit has it."""
    if value == 0:
        return "0"
    match unit:
        case "s" if value >= 60:
            return f"{value / 60:.0f} min"
        case "s":
            return scaled(value * 1e9, [" ns", " µs", " ms", " s"], 1000)
        case "percentunit":
            return scaled(value * 100, [" %"], 1000)
        case "bytes":
            return scaled(value, [" B", " KiB", " MiB", " GiB"], 1024)
        case "Bps":
            return scaled(value, [" B/s", " KiB/s", " MiB/s", " GiB/s"], 1024)
        case "ops" | "reqps":
            return scaled(value, ["/s", "k/s", "M/s"], 1000)
    return scaled(value, ["", "k", "M", "G"], 1000)


def top(largest, unit):
    """The end of the axis: a round number above, of which a quarter is one, too."""
    if largest <= 0:
        return 1
    base = 1024 if unit in ("bytes", "Bps") else 1000
    exponent = math.floor(math.log(largest, base))
    unit_size = float(base) ** exponent
    step = 10.0 ** math.floor(math.log10(largest / unit_size))
    for times in (1, 2, 4, 6, 8, 10, 20):
        if times * step * unit_size >= largest:
            return times * step * unit_size
    return largest


def text(x, y, what, size=11, color="#333", anchor="start", weight="normal"):
    bold = ' font-weight="bold"' if weight == "bold" else ""
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" fill="{color}" text-anchor="{anchor}"{bold}>{escape(what)}</text>'


def named(legend, labels):
    return re.sub(r"{{\s*(\w+)\s*}}", lambda found: labels.get(found[1], ""), legend) or "value"


def series_of(panel, ask):
    """Names and points of all that a panel shows; points that are no number are left out."""
    for target in panel["targets"]:
        for series in ask(target["expr"]):
            points = [(float(at), float(value)) for at, value in series["values"]]
            points = [point for point in points if math.isfinite(point[1])]
            if points:
                step = math.ceil(len(points) / POINTS)
                yield named(target["legendFormat"], series["metric"]), points[::-1][::step][::-1]


def stacked(drawn):
    """Each series on top of those before it."""
    below, made = {}, []
    for name, points in drawn:
        points = [(at, value + below.get(round(at), 0)) for at, value in points]
        below.update({round(at): value for at, value in points})
        made.append((name, points))
    return made


def legend(names, width):
    """Rows of names that fit, each with the number of its color; the last says how many are left out."""
    rows, used = [[]], 0.0
    for number, name in enumerate(names):
        needs = len(name) * LETTER + 24
        if used + needs > width and rows[-1]:
            if len(rows) == 2:
                rows[-1].append((None, f"and {len(names) - number} more"))
                break
            rows.append([])
            used = 0.0
        rows[-1].append((number, name))
        used += needs
    return rows


def chart(panel, drawn, left, upper, width, height, begin, end):
    unit = panel["fieldConfig"]["defaults"]["unit"]
    maximum = panel["fieldConfig"]["defaults"].get("max")
    is_stack = "stacking" in panel["fieldConfig"]["defaults"]["custom"]
    rows = legend([name for name, _ in drawn], width - 90)
    x0, x1, y0, y1 = left + 58, left + width - 10, upper + 28, upper + height - 22 - 14 * len(rows)
    drawn = stacked(drawn) if is_stack else drawn
    largest = max((value for _, points in drawn for _, value in points), default=0)
    high = maximum or top(largest, unit)
    place = lambda at, value: (round(x0 + (x1 - x0) * (at - begin) / (end - begin)), round(y1 - (y1 - y0) * min(value / high, 1)))
    out = []
    for part in range(5):
        y = y1 - (y1 - y0) * part / 4
        out.append(f'<path d="M{x0:.0f} {y:.0f}H{x1:.0f}" stroke="#e4e7ea"/>')
        if part % 2 == 0:
            out.append(text(x0 - 5, y + 3, shown(high * part / 4, unit), 10, "#777", "end"))
    for part in range(4):
        at = begin + (end - begin) * part / 3
        anchor = ["start", "middle", "middle", "end"][part]
        out.append(text(x0 + (x1 - x0) * part / 3, y1 + 12, f"{at - begin:.0f} s", 10, "#777", anchor))
    # From the top of a stack down, so that each leaves its own part visible.
    for number in reversed(range(len(drawn))):
        color = COLORS[number % len(COLORS)]
        points = [place(*point) for point in drawn[number][1]]
        path = "M" + "L".join(f"{x} {y}" for x, y in points)
        if is_stack:
            area = f"{path}L{points[-1][0]} {y1:.0f}L{points[0][0]} {y1:.0f}Z"
            out.append(f'<path d="{area}" fill="#fff"/><path d="{area}" fill="{color}" opacity=".35"/>')
        out.append(f'<path d="{path}" fill="none" stroke="{color}" stroke-width="1.5" stroke-linejoin="round"/>')
    for line, row in enumerate(rows):
        x, y = x0 - 40, y1 + 28 + 14 * line
        for number, name in row:
            if number is not None:
                out.append(f'<path d="M{x:.0f} {y - 4:.0f}h12" stroke="{COLORS[number % len(COLORS)]}" stroke-width="3"/>')
            out.append(text(x + 16, y, name, 10, "#555"))
            x += len(name) * LETTER + 24
    return out


def figure(panel, drawn, left, upper, width, height):
    (name, points), defaults = drawn[0], panel["fieldConfig"]["defaults"]
    last = points[-1][1]
    what = name if panel["options"]["textMode"] == "name" else shown(last, defaults["unit"])
    reached = [step["color"] for step in defaults["thresholds"]["steps"] if step["value"] is None or last >= step["value"]]
    color = {"green": "#37872d", "orange": "#e8713c", "red": "#c4162a"}[reached[-1]]
    return [text(left + width / 2, upper + height / 2 + 20, what, 26, color, "middle", "bold")]


def page(dashboard, ask):
    """The dashboard as SVG. `ask` answers a query with series over a time, as `query_range` does."""
    collected = {panel["id"]: list(series_of(panel, ask)) for panel in dashboard["panels"] if panel["type"] != "row"}
    times = [at for drawn in collected.values() for _, points in drawn for at, _ in points]
    begin, end = min(times), max(times)
    out, lowest = [], 0
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        left, upper = MARGIN + place["x"] * COLUMN, MARGIN + place["y"] * ROW
        width, height = place["w"] * COLUMN - 6, place["h"] * ROW - 6
        lowest = max(lowest, upper + height)
        if panel["type"] == "row":
            out.append(text(left + 2, upper + 17, panel["title"], 14, "#222", weight="bold"))
            continue
        out.append(f'<rect x="{left:.0f}" y="{upper:.0f}" width="{width:.0f}" height="{height:.0f}" rx="3" fill="#fff" stroke="#d5d9de"/>')
        out.append(text(left + 10, upper + 17, panel["title"], 12, "#222", weight="bold"))
        drawn = collected[panel["id"]]
        if panel["type"] == "stat":
            out += figure(panel, drawn, left, upper, width, height)
        else:
            out += chart(panel, drawn, left, upper, width, height, begin, end)
    height = lowest + MARGIN
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" font-family="Helvetica, Arial, sans-serif">'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{height:.0f}" fill="#f4f5f7"/>', *out, "</svg>\n"])
