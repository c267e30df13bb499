#!/usr/bin/env python3
"""kill -9 of anything at random moments under load: the short form of tests/soak/test_anything.py."""
from chaos import kill_anything
from harness import main, test


@test
def random_kills_under_load(home):
    print("# killed:", kill_anything(home, 25, seed=4))


main()
