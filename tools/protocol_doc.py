#!/usr/bin/env python3
"""Keep docs/protocols.md, section 4, equal to the structs in the headers.

  protocol_doc.py           rewrite the section
  protocol_doc.py --check   fail when it differs

The tags are the order of the members: src/proto/config.c must say the same, which is checked too."""
import pathlib
import re
import sys

HEADERS = {"src/proto/config.h": "src/proto/config.c", "src/proto/archive.h": "src/proto/archive.c",
           "src/box/update.h": "src/box/update.c",
           "src/box/ctl.h": "src/box/ctl.c"}
TYPES = {"uint64_t": "u64", "int64_t": "i64", "bool": "bool", "char": "string",
         "struct strv": "strings", "struct bytes": "bytes"}
ITEMS = {"tmpfs": "mount_tmpfs", "rlimits": "rlimit_setting", "procs": "proc_row"}
DOC = pathlib.Path("docs/protocols.md")


def members(body):
    pattern = r"(struct \w+|uint64_t|int64_t|bool|char)\s+([^;]+);[ \t]*(?:/\*(.*?)\*/)?"
    for kind, names, comment in re.findall(pattern, body, re.S):
        for name in names.split(","):
            name = name.strip().lstrip("*").strip()
            text = TYPES.get(kind) or (f"list of {ITEMS[name]}" if kind == "struct tlv_list"
                                       else kind.split()[1])
            yield name, text, " ".join((comment or "").split())


def section():
    out, wrong = [], []
    for header, source in HEADERS.items():
        code = pathlib.Path(source)
        code = code.read_text() if code.exists() else None
        for struct, body in re.findall(r"struct (\w+) \{(.*?)\n\};", pathlib.Path(header).read_text(), re.S):
            out += [f"### {struct}", "", "| tag | member | type | meaning |", "|---|---|---|---|"]
            for tag, (name, kind, comment) in enumerate(members(body), 1):
                out.append(f"| {tag} | `{name}` | {kind} | {comment} |")
                row = rf"\{{ {tag}, TLV_\w+, offsetof\(struct {struct}, {name}\)"
                if code is not None and not re.search(row, re.sub(r"\s+", " ", code)):
                    wrong.append(f"{source}: no row with tag {tag} for {struct}.{name}")
            out.append("")
    return "\n".join(out), wrong


text, wrong = section()
old = DOC.read_text()
new = re.sub(r"(?s)(\n## 4\. Structs\n\n).*?(?=## 5\. )", lambda m: m[1] + text + "\n", old)
if "--check" in sys.argv:
    if new != old:
        wrong.append("docs/protocols.md: section 4 is not what the headers say; run tools/protocol_doc.py")
    print("\n".join(wrong), end="\n" if wrong else "")
    sys.exit(1 if wrong else 0)
DOC.write_text(new)
