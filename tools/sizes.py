#!/usr/bin/env python3
"""Functions and files have limits: 70 lines, six parameters and the error, nesting 4; 800 lines.

  sizes.py          what is over a limit; exit status 1 when there is any
  sizes.py --list   the longest ones
"""
import pathlib, re, sys

FUNCTION_MAX, FILE_MAX, PARAMETERS_MAX, NESTING_MAX = 70, 800, 6, 4
# Tables of tests and of data are allowed to be long files.
LONG_FILES = {"tests"}


def blank(text):
    def spaces(m):
        return re.sub(r"[^\n]", " ", m[0])
    text = re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', spaces, text,
                  flags=re.S)
    return re.sub(r"^[ \t]*#(?:[^\n\\]|\\\n|\\.)*", spaces, text, flags=re.M)


def parameters(head):
    inner = head[head.find("(") + 1:head.rfind(")")]
    depth, n = 0, 1 if inner.strip() not in ("", "void") else 0
    for c in inner:
        depth += (c in "([{") - (c in ")]}")
        n += c == "," and depth == 0
    # The error does not count, nor what only a library's callback type asks for.
    return n - bool(re.search(r"struct err \*\w+\s*$", inner)) - inner.count(" UNUSED")


def nesting(body):
    """Control statements inside each other; braces of initialisers and of switch do not count."""
    deepest, stack = 0, []
    for m in re.finditer(r"\b(if|for|while|do|else|switch)\b|[{}]|_foreach\s*\(", body):
        word = m[0]
        if word == "{":
            before = body[:m.start()].rstrip()
            control = before.endswith((")", "else", "do")) and not before.endswith("=")
            stack.append(bool(control))
            deepest = max(deepest, sum(stack))
        elif word == "}" and stack:
            stack.pop()
    return deepest


def functions(path):
    text = blank(path.read_text())
    head = re.compile(r"^(?!struct|enum|union|static const|#)[A-Za-z_][^;{}=]*?\b(\w+)\s*\([^;{}]*\)"
                      r"[^;{}=]*\n\{", re.M)
    for m in head.finditer(text):
        if m[1].isupper():
            continue # a macro that makes functions
        depth, i = 1, m.end()
        while i < len(text) and depth:
            depth += (text[i] == "{") - (text[i] == "}")
            i += 1
        start = text.count("\n", 0, m.start()) + 1
        lines = text.count("\n", m.end() - 1, i) + 1
        yield m[1], start, lines, parameters(m[0]), nesting(text[m.end():i - 1])


def main():
    bad, longest, files = [], [], []
    for directory in ("src", "tests"):
        for path in sorted(pathlib.Path(directory).rglob("*.[ch]")):
            n = path.read_text().count("\n")
            files.append((n, path))
            if n > FILE_MAX and path.parts[0] not in LONG_FILES:
                bad.append(f"{path}: {n} lines (limit {FILE_MAX})")
            for name, line, lines, params, deep in functions(path):
                longest.append((lines, f"{path}:{line}: {name}"))
                if lines > FUNCTION_MAX:
                    bad.append(f"{path}:{line}: {name}() has {lines} lines (limit {FUNCTION_MAX})")
                if params > PARAMETERS_MAX:
                    bad.append(f"{path}:{line}: {name}() has {params} parameters "
                               f"(limit {PARAMETERS_MAX})")
                if deep > NESTING_MAX:
                    bad.append(f"{path}:{line}: {name}() is nested {deep} deep "
                               f"(limit {NESTING_MAX})")
    if "--list" in sys.argv:
        for n, what in sorted(longest, reverse=True)[:20] + sorted(files, reverse=True)[:10]:
            print(n, what)
    print(*bad, sep="\n", end="\n" if bad else "")
    return bool(bad)


sys.exit(main())
