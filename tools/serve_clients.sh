#!/usr/bin/env bash
# Python's clients against a server of ours, where there is a Python for them; says so where not.
# Usage: tools/serve_clients.sh path/to/aurola
set -euo pipefail
cd "$(dirname "$0")/.."
program=$1
python=${AUROLA_CLIENTS_PYTHON:-}
if [ -z "$python" ]; then
    python=$(command -v python3 || true)
fi
if [ -z "$python" ] || ! "$python" -c 'import huggingface_hub, numpy, openai' 2>/dev/null; then
    echo 'clients: not run (pip install -r tools/serve_requirements.txt)'
    exit 0
fi
folder=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
XDG_CACHE_HOME="$folder/cache" "$program" serve --port 0 --index "$folder/index" \
    >"$folder/address" 2>"$folder/log" &
server=$!
for _ in $(seq 600); do
    url=$(sed -n 's/^listening on //p' "$folder/address")
    if [ -n "$url" ] && "$python" -c "import sys, urllib.request as u; u.urlopen(sys.argv[1] + '/health')" "$url" 2>/dev/null; then
        "$python" tools/serve_clients.py "$url"
        exit 0
    fi
    kill -0 "$server" 2>/dev/null || { cat "$folder/log" >&2; exit 1; }
    sleep 0.1
done
cat "$folder/log" >&2
exit 1
