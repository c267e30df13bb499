#!/usr/bin/env python3
"""Our template engine against Go's text/template, in TAP. Needs go and no network."""
import os, pathlib, shutil, subprocess, sys

here = pathlib.Path(__file__).resolve().parent
top = here.parent.parent
engine = top / "build/asan/tests/interop/template_lines"
go = shutil.which("go")
print("1..1")
if not go:
    print("ok 1 - templates # SKIP no go")
    sys.exit(0)
env = {**os.environ, "GO111MODULE": "off", "GOFLAGS": "", "GOTOOLCHAIN": "local"}
p = subprocess.run([go, "run", str(here / "gotemplate/main.go"), str(engine)], env=env,
                   capture_output=True, text=True, timeout=300)
for line in (p.stdout + p.stderr).splitlines():
    print("#", line[:300])
print("ok 1 - templates" if p.returncode == 0 else "not ok 1 - templates")
sys.exit(p.returncode)
