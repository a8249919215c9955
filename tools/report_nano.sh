#!/usr/bin/env bash
# Writes docs/eval/: how well the model that comes with the program finds generated scenes of seeds that no recipe uses, and
# sorts the clips of ESC-50's fold 4. Run it after new weights are in crates/nano:
#
#     tools/report_nano.sh ESC50_FOLDER [aurola, default: cargo run --release]
#
# ESC50_FOLDER holds meta/esc50.csv (or clips.csv in its form) and the sounds anywhere below. No recording is put into the pages; the
# few scenes that are drawn are our own. SCENES and RERANK (candidates of a query) make it smaller on a busy machine.
set -euo pipefail
esc50=$1
root=$(cd "$(dirname "$0")/.." && pwd)
if [ $# -gt 1 ]; then aurola=("$2"); else aurola=(cargo run --release --quiet --manifest-path "$root/Cargo.toml" --); fi
table=$esc50/meta/esc50.csv
[ -e "$table" ] || table=$esc50/meta/clips.csv
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export AUROLA_STORE=${AUROLA_STORE:-$work/store.sqlite} AUROLA_MODEL=nano

run() { # NAME ARGUMENTS…
    local name=$1
    shift
    "${aurola[@]}" eval run "$@" --out "$work/$name" --format quiet
    mkdir -p "$root/docs/eval"
    for kind in html md; do cp "$work/$name/report.$kind" "$root/docs/eval/nano-$name.$kind"; done
    cp "$work/$name/result.json" "$root/docs/eval/nano-$name.json"
}

run scenes scenes --scenes "${SCENES:-1000}" --rerank "${RERANK:-10}" --cards 6
# By name, as every class of ESC-50 is asked for; the ten of ESC-10 in the words the model was trained on are in the second.
run esc50-fold4 esc50 --annotations "$table" --audio "$esc50" --fold 4 --no-sounds
run esc50-fold4-words esc50 --annotations "$table" --audio "$esc50" --fold 4 --no-sounds --prompts "$root/tools/esc10_words.json"
