#!/usr/bin/env bash
# What a compiler does not see: that the map is true, that recorded truth says where it is from, that
# nothing of one machine and nothing unfinished is in the tree. Prints every finding, then fails.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
# found TITLE TEXT: reports the lines of TEXT, where there are any.
found() {
    if [ -n "$2" ]; then
        printf '%s:\n%s\n' "$1" "$(printf '%s\n' "$2" | sed 's/^/  /')"
        failed=1
    fi
}
# Tracked files and those about to be.
files() { git ls-files --cached --others --exclude-standard -- "$@"; }
# grep over them: no match is good news, anything worse than that is not.
matches() {
    local pattern=$1
    shift
    files "$@" | tr '\n' '\0' | xargs -0 -r grep -HnIE -e "$pattern" -- || [ $? -le 123 ]
}

missing=''
for path in README.md ARCHITECTURE.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE docs/results.md; do
    [ -e "$path" ] || missing+="$path"$'\n'
done
found 'missing' "${missing%$'\n'}"

# The map names folders in the first column of its table, and paths anywhere else.
stale=''
while read -r path; do
    [ -e "$path" ] || stale+="$path"$'\n'
done < <(
    {
        sed -n 's/^| `\([^` ]*\)`.*/\1/p' ARCHITECTURE.md
        grep -oE '`[A-Za-z0-9_.][A-Za-z0-9_.-]*/[A-Za-z0-9_./-]*`' ARCHITECTURE.md | tr -d '`'
    } | sort -u
)
found 'named in ARCHITECTURE.md, and not there' "${stale%$'\n'}"

orphans=''
while read -r folder; do
    at=$folder
    while [ ! -e "$at/ORIGIN.md" ] && [ "$(basename "$at")" != testdata ]; do
        at=$(dirname "$at")
    done
    [ -e "$at/ORIGIN.md" ] || orphans+="$folder"$'\n'
done < <(files | grep -E '(^|/)testdata/.*/' | sed 's#/[^/]*$##' | sort -u)
found 'testdata without an ORIGIN.md' "${orphans%$'\n'}"

found 'paths of one machine' \
    "$(matches '(^|[^A-Za-z0-9_.~/-])/(root|home|Users|work|workspace|opt|mnt)/[A-Za-z]' . \
        ':!tools/check_tree.sh' | cut -c1-160)"

found 'unfinished' \
    "$(matches '\b(todo|unimplemented|dbg)!\(|#\[ignore|\b(FIXME|XXX)\b' '*.rs' '*.py' '*.sh' .ci \
        ':!tools/check_tree.sh' | cut -c1-160)"

# Whole-line comments may speak of it.
found 'unsafe outside crates/compute' \
    "$(matches '(^|[^A-Za-z0-9_"`])unsafe([^A-Za-z0-9_"`]|$)' '*.rs' ':!crates/compute' |
        grep -vE '^[^:]*:[0-9]+: *//' || true)"
grep -q '^undocumented_unsafe_blocks = ' crates/compute/Cargo.toml ||
    found 'crates/compute/Cargo.toml' 'lint undocumented_unsafe_blocks is not on'
for manifest in crates/*/Cargo.toml; do
    [ "$manifest" = crates/compute/Cargo.toml ] || grep -q '^\[lints\]$' "$manifest" ||
        found "$manifest" 'does not take the lints of the workspace'
done

long=$(files '*.rs' '*.py' '*.sh' | tr '\n' '\0' | xargs -0 -r wc -l |
    awk '$2 != "total" && $1 > 700 { print $1 " lines: " $2 }')
found 'too long to hold in the head (700 lines)' "$long"

# The model that comes with the program has a limit of its own, for all of it.
nano=(crates/nano/model crates/nano/reranker)
large=$(files . "${nano[@]/#/:!}" | tr '\n' '\0' | xargs -0 -r du -k | awk '$1 > 4096 { print $1 " KiB: " $2 }')
found 'too large for a repository (4 MiB)' "$large"
heavy=$(files "${nano[@]}" | tr '\n' '\0' | xargs -0 -r du -bc |
    awk '$2 == "total" && $1 > 25000000 { print $1 " bytes" }')
found "too large for a program's own model (25 MB)" "$heavy"

[ "$failed" = 0 ] && echo 'the tree is in order'
exit "$failed"
