#!/usr/bin/env python3
"""new-command.py NAME: make src/cli/commands/NAME.c from the template, and register it."""
import pathlib, re, shutil, subprocess, sys

top = pathlib.Path(__file__).resolve().parent.parent
name = sys.argv[1]
if not re.fullmatch("[a-z][a-z-]*", name):
    sys.exit(f"new-command: '{name}' is no name for a command (a-z and -)")
ident = name.replace("-", "_")
source = top / f"src/cli/commands/{ident}.c"
if source.exists():
    sys.exit(f"new-command: {source.relative_to(top)} exists")

text = (top / "tools/command.c.in").read_text()
source.write_text(text.replace("@id@", ident).replace("@name@", name))
if shutil.which("clang-format"):
    subprocess.run(["clang-format", "-i", str(source)], check=True)

table = top / "src/cli/commands.def"
lines = table.read_text().splitlines()
commands = sorted([line for line in lines if line.startswith("CMD(")] + [f"CMD({ident})"])
table.write_text("\n".join([line for line in lines if not line.startswith("CMD(")] + commands)
                 + "\n")

build = top / "src/cli/meson.build"
text = build.read_text()
block = re.search(r"cli_commands = files\(\n(.*?)\n\)", text, re.S)
entries = sorted(block[1].split("\n") + [f"  'commands/{ident}.c',"])
build.write_text(text[:block.start(1)] + "\n".join(entries) + text[block.end(1):])

transcript = top / f"tests/cli/{name}.t"
transcript.write_text(f"""{name.capitalize()}: what it does, in a sentence.

  $ a3s-box {name} --bad
  ! Error: unknown flag: --bad
  !
  ! Run 'a3s-box {name} --help' for more information
  [2]
""")
print(f"wrote {source.relative_to(top)} and {transcript.relative_to(top)}")
