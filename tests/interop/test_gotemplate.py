#!/usr/bin/env python3
"""Our template engine against the text/template of a recent Go, in TAP."""
import os, pathlib, subprocess, sys

here = pathlib.Path(__file__).resolve().parent
top = here.parent.parent
engine = top / "build/asan/tests/interop/template_lines"
print("1..1", flush=True)
p = subprocess.run([top / "tools/peers/go"], stdout=subprocess.PIPE, text=True, timeout=600)
if p.returncode:
    print("not ok 1 - templates: no Go that is recent enough")
    sys.exit(1)
go = p.stdout.strip()
env = {**os.environ, "GO111MODULE": "off", "GOFLAGS": "", "GOTOOLCHAIN": "local"}
p = subprocess.run([go, "run", str(here / "gotemplate/main.go"), str(engine)], env=env,
                   capture_output=True, text=True, timeout=300)
for line in (p.stdout + p.stderr).splitlines():
    print("#", line[:300])
print("ok 1 - templates" if p.returncode == 0 else "not ok 1 - templates")
sys.exit(p.returncode)
