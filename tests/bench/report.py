# SPDX-License-Identifier: Apache-2.0
"""A table for people, JSON for machines, and latency plots as SVG."""
import json
import math
import os

UNIT = {"rps": "requests/s", "events_per_s": "chunks/s", "total": "us, median", "chunk": "us after due, median"}
COLOUR = {"direct": "#888888", "nginx": "#2a9d3a", "haproxy": "#1f6fc0", "portkey": "#b8860b", "sealway-ipc": "#d0312d",
          "sealway-tcp": "#8b1fa0", "sealway-verify": "#444444", "sealway-tls": "#e08030", "nginx-tls": "#6fbf73"}


def number(v):
    return f"{v:,.0f}" if v >= 100 else f"{v:.1f}" if v >= 1 else f"{v:.2f}"


def cost(values):
    return " + ".join(f"{k} {number(v)}" for k, v in values.items())


def ratio(row, name, to):
    a, b = row["systems"].get(name, {}).get("value"), row["systems"].get(to, {}).get("value")
    return f"{a['median'] / b['median']:.2f}" if a and b and b["median"] and name != to else ""


def row_lines(row):
    unit = UNIT[row["counts"]]
    out = [f"### ({row['row']}) {row['what']}", "",
           f"| | {unit} | min..max | /nginx | /direct | p50 us | p99 us | CPU us per request | per chunk | notes |",
           "|---|---|---|---|---|---|---|---|---|---|"]
    peer = "nginx" if "nginx" in row["systems"] else "nginx-tls"
    for name, s in row["systems"].items():
        if s.get("failed"):
            out.append(f"| {name} | failed: {s['failed']} | | | | | | | | |")
            continue
        h = s.get("chunk") or s.get("total") or {}
        ceiling = s.get("node_ceiling")
        notes = [f"node {ceiling}x" + (": VOID" if ceiling < 3 else "")] if ceiling else []
        notes += [f"{s['wrong']} wrong"] if s["wrong"] else []
        notes += [f"{s['verified']} verified"] if s["verified"] else []
        v = s["value"]
        out.append(f"| {name} | {number(v['median'])} | {number(v['min'])}..{number(v['max'])} | {ratio(row, name, peer)} | "
                   f"{ratio(row, name, 'direct')} | {number(h.get('p50', 0))} | {number(h.get('p99', 0))} | "
                   f"{cost(s['cpu_us_per_request'])} | {cost(s['cpu_us_per_chunk'])} | {', '.join(notes)} |")
    return out + [""]


def special_lines(row):
    if isinstance(row.get("failed"), str):
        return [f"### ({row['row']}) failed", "", row["failed"], ""]
    if row["row"] == "startup":
        return [f"### (startup) {row['what']}", "", f"ready after {row['ready_ms']['median']:.0f} ms, first answer after "
                f"{row['first_ms']['median']:.0f} ms ({row['first_ms']['min']:.0f}..{row['first_ms']['max']:.0f})", ""]
    if row["row"] == "growth":
        out = [f"### (growth) {row['what']}", "", "| users, stacks | nodes | requests/s | p50 us | p99 us | CPU us per request | broker MB |",
               "|---|---|---|---|---|---|---|"]
        return out + [f"| {s['users']:,} | {s['nodes']:,} | {number(s['rps'])} | {number(s['p50'])} | {number(s['p99'])} | "
                      f"{cost(s['cpu_us'])} | {s['rss_kb'] / 1024:.0f} |" for s in row["systems"].values()] + [""]
    if row["row"] == "syscalls":
        out = [f"### (syscalls) {row['what']}", "", "| | process | system calls | instructions |", "|---|---|---|---|"]
        for name, s in row["systems"].items():
            out += [f"| {name} | {role} | {e['syscalls'] or 'not counted'} | {e['instructions'] or 'no counter'} |"
                    for role, e in s["each"].items()]
        return out + [""]
    return [f"### (open) {row['what']}", "", f"{row['answers']:,} answered whole; wrong: {row['wrongs']}; chunks p50 "
            f"{row['chunk'].get('p50')} us, p99 {row['chunk'].get('p99')} us after they were due; memory at the top: "
            f"{cost(row['rss_kb'])} KB, {row['kb_per_stream']} KB per stream", ""]


def table(result):
    m, stalls = result["machine"], result["stalls"]
    out = ["# Measured side by side", "", f"{m['date']}; {m['cpu']}, {result['limits']['processors']} processors, Linux "
           f"{m['kernel']}; sealway {m['sealway']}; {m['nginx']}; {m['haproxy']}; {m['portkey']} on Node.js {m['node.js']}.",
           f"Limits found: {json.dumps(result['limits'])}. Load average at the start {m['load_average']:.2f}. "
           f"Scale {result['scale']}, {result['took_s']} s in all.", "",
           f"Before anything ran, loops on all processors that only looked at the clock stood still {stalls['per_second']:g} times "
           f"a second, for up to {stalls['longest_ms']:.1f} ms, {100 * stalls['share']:.2g} % of the time in all: the machine's own "
           "doing, which every tail below contains.", "",
           "Everything runs on this one machine: load generator, proxies and node share its processors, so ratios say "
           "more than numbers. The peers relay a raw body; sealway checks, bills and settles a sealed one, and the answer "
           "that it carries is larger (ciphertext, signature, receipt).", ""]
    for row in result["rows"]:
        out += row_lines(row) if "counts" in row else special_lines(row)
    return "\n".join(out)


# --- plots ---

W, H, LEFT, BOTTOM, TOP = 760, 420, 64, 44, 34


def scale_x(share):
    """Percentiles towards 1 get room: -log10(1 - share), 0 to 4."""
    return LEFT + min(4.0, -math.log10(max(1e-4, 1 - share))) / 4 * (W - LEFT - 140)


def curve(buckets, low, high):
    total, seen, out = sum(n for _, n in buckets), 0, []
    for top, n in buckets:
        seen += n
        y = (math.log10(max(top, low)) - math.log10(low)) / (math.log10(high) - math.log10(low))
        out.append(f"{scale_x(seen / total):.1f},{H - BOTTOM - y * (H - BOTTOM - TOP):.1f}")
    return " ".join(out)


def axes(low, high):
    out = []
    for share, name in ((0, "0"), (.5, "50 %"), (.9, "90 %"), (.99, "99 %"), (.999, "99.9 %"), (.9999, "99.99 %")):
        x = scale_x(share)
        out.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{H - BOTTOM}" stroke="#dddddd"/>'
                   f'<text x="{x:.1f}" y="{H - BOTTOM + 18}" text-anchor="middle">{name}</text>')
    for e in range(int(math.log10(low)), int(math.log10(high)) + 1):
        y = H - BOTTOM - (e - math.log10(low)) / (math.log10(high) - math.log10(low)) * (H - BOTTOM - TOP)
        name = f"{10 ** e:g} us" if e < 3 else f"{10 ** (e - 3):g} ms" if e < 6 else f"{10 ** (e - 6):g} s"
        out.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{W - 140}" y2="{y:.1f}" stroke="#dddddd"/>'
                   f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{name}</text>')
    return out


def svg(row, what):
    lines = {n: s[what]["buckets"] for n, s in row["systems"].items() if s.get(what, {}).get("buckets")}
    if not lines:
        return None
    values = [top for b in lines.values() for top, _ in b]
    low, high = 10 ** math.floor(math.log10(max(1, min(values)))), 10 ** math.ceil(math.log10(max(values) + 1))
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {W} {H}" font-family="sans-serif" font-size="12">',
           f'<rect width="{W}" height="{H}" fill="white"/>',
           f'<text x="{LEFT}" y="20" font-size="14">{row["what"]}: {"chunk, after it was due" if what == "chunk" else what}</text>']
    out += axes(low, high)
    for i, (name, buckets) in enumerate(lines.items()):
        c = COLOUR.get(name, "#000000")
        out.append(f'<polyline fill="none" stroke="{c}" stroke-width="2" points="{curve(buckets, low, high)}"/>'
                   f'<text x="{W - 130}" y="{TOP + 16 + 18 * i}" fill="{c}">{name}</text>')
    return "\n".join(out + ["</svg>", ""])


def write(result, where):
    os.makedirs(where, exist_ok=True)
    plots = []
    for row in result["rows"]:
        if "counts" not in row:
            continue
        picture = svg(row, "chunk" if row["counts"] == "chunk" else "total")
        if picture:
            plots.append(f"latency-{row['row']}.svg")
            with open(os.path.join(where, plots[-1]), "w") as f:
                f.write(picture)
    with open(os.path.join(where, "results.json"), "w") as f:
        json.dump(result, f, indent=None, separators=(",", ":"))
    with open(os.path.join(where, "RESULTS.md"), "w") as f:
        f.write(table(result) + "\n## Plots\n\n" + "\n".join(f"![{p}]({p})" for p in plots) + "\n")
