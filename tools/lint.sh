#!/bin/sh
# All checks that need no build. Exit status 1 when one of them found something.
cd "$(dirname "$0")/.." || exit 2
bad=0

# run NAME COMMAND...: what it prints is shown when it fails
run() {
    name=$1
    shift
    if out=$("$@" 2>&1); then
        echo "ok $name"
    else
        echo "not ok $name"
        printf '%s\n' "$out"
        bad=1
    fi
}

headers() {
    flags="-std=gnu17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Ulinux -Uunix -Isrc"
    for h in $(find src -name '*.h'); do
        # not x.h:y.h that need another compiler's headers: all of ours compile everywhere
        ${CC:-cc} $flags -fsyntax-only -x c -include "$h" /dev/null || { echo "$h"; return 1; }
    done
}

sorted() {
    grep -o '^CMD([a-z_]*)' src/cli/commands.def | LC_ALL=C sort -c
}

registered() { # every command file has its line, and every line its file
    for f in src/cli/commands/*.c; do
        id=$(basename "$f" .c)
        grep -q "^CMD($id)\$" src/cli/commands.def || { echo "$f is not in commands.def"; return 1; }
    done
}

formatted() {
    find src tests -name '*.[ch]' -print0 | xargs -0 clang-format --dry-run -Werror
}

scripts() {
    for f in $(git ls-files | grep '\.py$'); do
        python3 -m py_compile "$f" || return 1
    done
    for f in $(git ls-files dev tools '*.sh' | grep -v '\.'); do
        case $(head -c 20 "$f") in
        '#!/bin/bash'*) bash -n "$f" || return 1 ;;
        '#!/bin/sh'*) sh -n "$f" || return 1 ;;
        esac
    done
}

run layers python3 tools/layers.py
run banned python3 tools/banned.py
run sizes python3 tools/sizes.py
run headers headers
run commands-sorted sorted
run commands-registered registered
run format formatted
run scripts scripts
[ ! -f tools/doc_paths.py ] || run doc-paths python3 tools/doc_paths.py
[ ! -f tools/protocol_doc.py ] || run protocol-doc python3 tools/protocol_doc.py --check
exit $bad
