#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the C file that holds openapi.json and the page that shows it.

render.py openapi.json VERSION OUT.c     A $ref that leads nowhere ends the build.
"""
import base64
import hashlib
import html
import json
import sys

STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8881;--get:#1a7f37;--post:#0a58ca}
@media(prefers-color-scheme:dark){:root{--get:#3fb950;--post:#6ea8fe}}
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:1rem}
h1{margin-bottom:0}h2{border-bottom:1px solid var(--line);margin-top:2.5rem}
h3{margin:2rem 0 .3rem;font-size:1.05rem;overflow-wrap:anywhere}
code{font:.9em ui-monospace,monospace;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%;margin:.5rem 0 1rem}
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem .3rem 0;border-bottom:1px solid var(--line)}
th{font-size:.85em;font-weight:600}td:first-child{width:13rem}
nav ul{columns:2 20rem;padding-left:1.1rem}
.m{font-weight:700;margin-right:.5rem}.get{color:var(--get)}.post{color:var(--post)}
.t{font-size:.85em;opacity:.8}.box{background:var(--soft);padding:.1rem .8rem;border-radius:.4rem}
.wide{overflow-x:auto}
@media(max-width:40rem){th{display:none}tr{display:block;border-bottom:1px solid var(--line);padding:.3rem 0}
td,td:first-child{display:block;width:auto;border:0;padding:.1rem 0}.t{display:block}}
"""


class Document:
    def __init__(self, doc):
        self.doc = doc

    def find(self, ref):
        at = self.doc
        if not ref.startswith("#/"):
            raise SystemExit(f"openapi.json: {ref} is not in this document")
        for name in ref[2:].split("/"):
            if name not in at:
                raise SystemExit(f"openapi.json: {ref} leads nowhere")
            at = at[name]
        return at

    def solve(self, v):
        return self.find(v["$ref"]) if "$ref" in v else v

    def check(self, v):
        """Follows every reference."""
        if isinstance(v, dict):
            if "$ref" in v:
                self.find(v["$ref"])
            for x in v.values():
                self.check(x)
        elif isinstance(v, list):
            for x in v:
                self.check(x)


def text(s):
    return html.escape(str(s))


def limits(s):
    low, high = s.get("minimum"), s.get("maximum")
    if low is not None and high is not None:
        return f"{low:,} to {high:,}"
    return f"{low:,} or more" if low is not None else ""


def kind(s):
    """The type of a schema, for people."""
    if "enum" in s:
        return "one of " + ", ".join("null" if v is None else str(v) for v in s["enum"])
    if "const" in s:
        return f"always {s['const']}"
    types = s.get("type", "any")
    types = types if isinstance(types, list) else [types]
    words = ["base64" if t == "string" and s.get("contentEncoding") == "base64" else t for t in types]
    if "array" in types and "items" in s:
        words[words.index("array")] = "array of " + s["items"].get("type", "any")
    return " or ".join(words) + (", " + limits(s) if limits(s) else "")


def rows(d, schema, prefix=""):
    s = d.solve(schema)
    for name, member in s.get("properties", {}).items():
        m = d.solve(member)
        if "items" in m:
            m = dict(m, items=d.solve(m["items"]))
        needed = "required" if name in s.get("required", []) else "optional"
        yield prefix + name, kind(m), needed, m.get("description", "")
        inner = m.get("items", m) if m.get("type") == "array" else m
        yield from rows(d, inner, prefix + name + ("[]." if m.get("type") == "array" else "."))


def table(d, schema):
    out = [f'<tr><td><code>{text(name)}</code></td><td><span class="t">{text(what)}; {needed}</span> {text(why)}</td></tr>'
           for name, what, needed, why in rows(d, schema)]
    return f'<div class="wide"><table><tr><th>member</th><th>what it is</th></tr>{"".join(out)}</table></div>' if out else ""


def body(d, content):
    out = []
    for media, c in content.items():
        s = d.solve(c["schema"])
        name = c["schema"].get("$ref", "").rsplit("/", 1)[-1]
        out.append(f'<p><code>{text(media)}</code> {text(name)} {text(s.get("description", ""))}</p>')
        if name != "Error":
            out.append(table(d, s))
    return "".join(out)


def operation(d, path, method, o):
    out = [f'<h3 id="{text(o["operationId"])}"><span class="m {method}">{method.upper()}</span><code>{text(path)}</code></h3>',
           f'<p><b>{text(o["summary"])}.</b> {text(o["description"])} {"Needs a token." if o["security"] else "No token."}</p>']
    if "parameters" in o:
        out.append("<p>" + " ".join(f'<code>{text(p["name"])}</code> <span class="t">{text(kind(p["schema"]))}</span> '
                                    f'{text(p["description"])}' for p in o["parameters"]) + "</p>")
    if "requestBody" in o:
        out.append('<h4>Takes</h4>' + body(d, o["requestBody"]["content"]))
    answers = {s: d.solve(r) for s, r in o["responses"].items()}
    out.append("<h4>Gives</h4><p>" + text(answers["200"]["description"]) + "</p>" + body(d, answers["200"]["content"]))
    errors = [f"<tr><td>{s}</td><td>{text(r['description'])}</td></tr>" for s, r in answers.items() if s != "200"]
    if errors:
        out.append(f'<details><summary>Errors</summary><table>{"".join(errors)}</table></details>')
    return "".join(out)


def page(doc):
    d = Document(doc)
    ops = [(path, method, o) for path, item in doc["paths"].items() for method, o in item.items()]
    info = doc["info"]
    out = ["<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width,initial-scale=1'>",
           f"<title>{text(info['title'])} API</title><style>{STYLE}</style>",
           f"<h1>{text(info['title'])} API</h1><p>{text(info['summary'])}, version {text(info['version'])}. "
           "<a href=openapi.json>OpenAPI 3.1</a></p>",
           f"<p>{text(info['description'])}</p><nav class=box><ul>"]
    out += [f'<li><a href="#{text(o["operationId"])}"><span class="m {m}">{m.upper()}</span><code>{text(p)}</code></a></li>'
            for p, m, o in ops]
    out.append("</ul></nav>")
    for tag in doc["tags"]:
        out.append(f"<h2>{text(tag['name'])}</h2><p>{text(tag['description'])}</p>")
        out += [operation(d, p, m, o) for p, m, o in ops if tag["name"] in o["tags"]]
    out.append("<h2 id=errors>Errors</h2>" + table(d, {"$ref": "#/components/schemas/Error"}))
    return "".join(out)


def array(name, data):
    lines = (",".join(str(b) for b in data[i:i + 32]) for i in range(0, len(data), 32))
    return f"const unsigned char {name}[] = {{\n" + ",\n".join(lines) + f"\n}};\nconst size_t {name}_n = sizeof({name});\n"


def main(source, version, target):
    with open(source, encoding="utf-8") as f:
        doc = json.load(f)
    doc["info"]["version"] = version
    Document(doc).check(doc)
    style = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    with open(target, "w", encoding="ascii") as f:
        f.write('/* Made by render.py from openapi.json. */\n#include "gateway/openapi/openapi.h"\n\n')
        f.write(array("openapi_json", json.dumps(doc, separators=(",", ":"), ensure_ascii=False).encode()))
        f.write(array("openapi_page", page(doc).encode()))
        f.write(f"const char openapi_policy[] = \"default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; "
                "form-action 'none'; frame-ancestors 'none'\";\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
