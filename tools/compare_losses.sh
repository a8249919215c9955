#!/usr/bin/env bash
# Hybrid-NCE against InfoNCE on the same budget: recipes/losses.toml, three seeds each, one after the other.
# Prints what each run scores on scenes it never saw, then means and deviations. Runs go to FOLDER.
#   tools/compare_losses.sh FOLDER [AUROLA]
set -euo pipefail
folder=$1
aurola=${2:-target/release/aurola}
recipe=$(dirname "$0")/../recipes/losses.toml
mkdir -p "$folder"
for seed in 1 2 3; do
    for loss in hybrid_nce info_nce; do
        run=$folder/$loss-$seed
        if [ "$loss" = info_nce ]; then
            off='s/^shared_tag_weight = .*/shared_tag_weight = 0.0/; s/^hardness = .*/hardness = 0.0/'
            # Without overlap no pair is taken out of the negatives either.
            sed "s/^seed = 1$/seed = $seed/; $off" "$recipe" |
                awk '/^\[data\]$/ { print; print "tag_vocab = \"no_tags.json\""; next } { print }' >"$run.toml"
            echo '{}' >"$folder/no_tags.json"
        else
            sed "s/^seed = 1$/seed = $seed/" "$recipe" >"$run.toml"
        fi
        "$aurola" train "$run.toml" --run "$run" --quiet >/dev/null
        grep '"kind":"validation"' "$run/metrics.jsonl" | tail -n 1 |
            sed 's/.*"scores":{\(.*\)}}/\1/; s/"//g' | sed "s/^/$loss seed $seed: /"
    done
done | tee "$folder/scores.txt"
for loss in hybrid_nce info_nce; do
    for score in t2a_r1 t2a_r10 a2t_r1 a2t_r10; do
        grep "^$loss" "$folder/scores.txt" | grep -o "$score:[0-9.]*" | cut -d: -f2 |
            awk -v what="$loss $score" '{ s += $1; q += $1 * $1 }
                END { m = s / NR; print what ": mean " 100 * m ", deviation " 100 * sqrt((q - NR * m * m) / (NR - 1)) }'
    done
done
