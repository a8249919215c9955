#!/usr/bin/env bash
# Every crate we build on, on any system, is under a licence that deny.toml allows.
set -euo pipefail
cd "$(dirname "$0")/.."

allowed=$(sed -n '/^allow = \[/,/^\]/s/^ *"\(.*\)",\{0,1\}$/\1/p' deny.toml)
[ -n "$allowed" ] || { echo "deny.toml: no list of licences" >&2; exit 2; }
crates=$(cargo tree --workspace --locked --target all --all-features --edges normal,build,dev --prefix none \
    --format '{p}|{l}' | sed 's/ (\*)$//; s/ ([^|]*)|/|/' | sort -u)

# An expression is good if every part joined by AND is, and a part is good if one of its choices is.
printf '%s\n' "$crates" | awk -F'|' -v allowed="$allowed" '
    BEGIN { n = split(allowed, list, "\n"); for (i = 1; i <= n; i++) good[list[i]] = 1 }
    function choice(text,    parts, i, n) {
        n = split(text, parts, / OR /)
        for (i = 1; i <= n; i++) if (parts[i] in good) return 1
        return 0
    }
    function fine(text,    parts, i, n) {
        gsub(/ ?\/ ?/, " OR ", text)
        # `A AND B OR C` without brackets is `(A AND B) OR C`.
        if (text !~ /[()]/ && text ~ / AND / && text ~ / OR /) {
            n = split(text, parts, / OR /)
            for (i = 1; i <= n; i++) if (fine(parts[i])) return 1
            return 0
        }
        gsub(/[()]/, "", text)
        n = split(text, parts, / AND /)
        for (i = 1; i <= n; i++) if (!choice(parts[i])) return 0
        return 1
    }
    { total++ }
    !fine($2) { print "  " $1 ": " ($2 == "" ? "no licence" : $2); bad = 1 }
    END {
        if (bad) { print "not under a licence that deny.toml allows"; exit 1 }
        print total " crates, all under allowed licences"
    }'
