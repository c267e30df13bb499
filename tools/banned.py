#!/usr/bin/env python3
"""Calls that are not used here, each with what is used instead.

A line may say why it must be different with the comment "banned: REASON"."""
import pathlib, re, sys

BANNED = {
    "atoi": "parse_i64", "atol": "parse_i64", "atoll": "parse_i64", "atof": "strtod",
    "strtol": "parse_i64", "strtoul": "parse_u64", "strtoll": "parse_i64",
    "strtoull": "parse_u64",
    "sprintf": "snprintf or str_addf", "vsprintf": "vsnprintf",
    "strcpy": "str_adds or memcpy", "stpcpy": "str_adds", "strcat": "str_adds",
    "strncpy": "snprintf", "strncat": "str_add", "strtok": "strcspn", "strtok_r": "strcspn",
    "gets": "getline", "alloca": "malloc", "system": "spawn_start", "popen": "spawn_start",
    "sleep": "an event and a deadline", "usleep": "an event and a deadline",
    "nanosleep": "an event and a deadline", "clock_nanosleep": "an event and a deadline",
    "longjmp": "return values", "siglongjmp": "return values",
    "tmpnam": "mkstemp", "mktemp": "mkstemp", "tempnam": "mkstemp", "gmtime": "gmtime_r",
    "localtime": "localtime_r", "asctime": "strftime", "ctime": "strftime",
    "strerror_l": "strerror", "rand": "getrandom", "srand": "getrandom", "random": "getrandom",
    "dup": "fd_dup", "select": "poll", "assert_perror": "err_os",
    "archive_read_support_filter_all": "filters by name",
    "archive_read_support_format_all": "formats by name",
}
CALL = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")
# Only programs end the process; libraries return errors.
EXIT = re.compile(r"(?<![\w.>])(exit|abort|err|errx|warn|warnx)\s*\(")
# poll() or epoll_wait() with a constant time-out is polling in disguise.
TICK = re.compile(r"\b(?:poll|epoll_wait)\s*\([^;]*,\s*[1-9]\d*\s*\)")
GUESS = re.compile(r"\bselect\s*\(\s*0\s*,\s*NULL")


def strip(text):
    """Comments and strings become blanks; lines stay where they are."""
    def blank(m):
        return re.sub(r"[^\n]", " ", m[0])
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text,
                  flags=re.S)


def check(path):
    text = path.read_text()
    lines, bad = text.splitlines(), []
    is_test = "tests" in path.parts
    for no, line in enumerate(strip(text).splitlines(), 1):
        if "banned:" in lines[no - 1]:
            continue
        for m in CALL.finditer(line):
            bad.append(f"{path}:{no}: {m[1]}() is banned; use {BANNED[m[1]]}")
        if TICK.search(line) or GUESS.search(line):
            bad.append(f"{path}:{no}: waits for a fixed time: wait for the event, with a deadline")
        if not is_test and path.name != "main.c":
            for m in EXIT.finditer(line):
                bad.append(f"{path}:{no}: {m[1]}() in a library: return an error")
    return bad


paths = [pathlib.Path(p) for p in sys.argv[1:]] or [
    p for d in ("src", "tests") for p in sorted(pathlib.Path(d).rglob("*.[ch]"))]
found = [line for p in paths for line in check(p)]
print(*found, sep="\n", end="\n" if found else "")
sys.exit(bool(found))
