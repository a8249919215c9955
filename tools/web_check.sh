#!/usr/bin/env bash
# Checks the page: its types, its form, that what is committed is what it builds to, and what it does in a
# real Chromium against the mock of the API. What is missing is installed first.
#
# With AUROLA naming a built program, the page is driven on a real server too: AUROLA_MODEL is the model's
# folder, AUROLA_LIBRARY the sounds that are there from the start, AUROLA_FOLDER the sounds that are indexed while it is used, AUROLA_SOUND one to drop onto it.
# Pass --shots to write docs/screenshots as well.
set -euo pipefail
cd "$(dirname "$0")/../web"

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

command -v node >/dev/null || { echo 'no node: install Node.js 20.19 or later' >&2; exit 1; }
if ! command -v "${CHROMIUM:-chromium}" >/dev/null; then
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends chromium
fi
CHROMIUM=$(command -v "${CHROMIUM:-chromium}")
export CHROMIUM

npm ci --no-audit --no-fund
npm run --silent format
npm run --silent types
npm run --silent build
# Committed and built must be the same, file for file.
changed=$(git status --porcelain -- ../crates/server/assets)
if [ -n "$changed" ]; then
    printf 'crates/server/assets is not what web/ builds to; commit what `npm run build` wrote:\n%s\n' "$changed" >&2
    exit 1
fi

if [ -n "${AUROLA:-}" ]; then
    scratch=$(mktemp -d)
    port=${AUROLA_PORT:-18973}
    # The page is driven over sounds that are there: AUROLA_LIBRARY, by default the program's own demo.
    library=${AUROLA_LIBRARY:-$scratch/demo}
    [ -n "${AUROLA_LIBRARY:-}" ] || "$AUROLA" demo --to "$library" >/dev/null
    "$AUROLA" index add ${AUROLA_MODEL:+--model "$AUROLA_MODEL"} --store "$scratch/library.sqlite" "$library"
    "$AUROLA" serve ${AUROLA_MODEL:+--model "$AUROLA_MODEL"} --index "$scratch" --port "$port" &
    server=$!
    trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; rm -rf "$scratch"' EXIT
    for _ in $(seq 120); do
        curl -fs "http://127.0.0.1:$port/health" >/dev/null && break
        kill -0 "$server" || exit 1
        sleep 0.5
    done
    export AUROLA_URL=http://127.0.0.1:$port
fi
node test/run.js "$@"
