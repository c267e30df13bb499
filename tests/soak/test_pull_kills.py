#!/usr/bin/env python3
"""kill -9 at many more moments of a pull than `./dev registry` has time for."""
import os
import pathlib
import sys

test = pathlib.Path(__file__).resolve().parents[1] / "registry/test_pull.py"
os.environ["KILLS"] = os.environ.get("KILLS", "500")
os.execv(sys.executable, [sys.executable, str(test), "kill_9_at_random_moments"])
