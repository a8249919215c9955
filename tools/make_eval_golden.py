#!/usr/bin/env python3
"""Writes testdata/eval/cases.json: small matrices and the figures that plain Python makes of them.

Nothing but the standard library, and no cleverness: every ranking is a full sort, every figure is written as its
definition reads. Two readings of each case:

- `exact`: ties count against, each direction fused on a matrix of its own, every candidate fused;
- `released`: as `_compute_metric_ret` and `merge_rerank_result_to_retrieval_simlarity` of the released code
  behave (stable sort, the leaking audio-to-text fusion, one matrix for both, one decimal).

    python3 tools/make_eval_golden.py testdata/eval/cases.json
"""

import json
import math
import random
import struct
import sys


def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def released_rank(row, right):
    order = sorted(range(len(row)), key=lambda i: -row[i])
    return min(order.index(i) for i in right)


def exact_places(row, right):
    wrong = [i for i in range(len(row)) if i not in right]
    own = sorted(right, key=lambda i: -row[i])
    return [n + 1 + sum(row[w] >= row[i] for w in wrong) for n, i in enumerate(own)]


def released_figures(ranks):
    r = [sum(x < k for x in ranks) / len(ranks) for k in (1, 5, 10)]
    names = dict(zip(("r1", "r5", "r10"), (round(x * 100, 1) for x in r)))
    return names | {"mean": round(sum(r) / 3 * 100, 1)}


def exact_figures(places):
    first = sorted(p[0] for p in places)
    n = len(first)
    r = [100 * sum(p <= k for p in first) / n for k in (1, 5, 10)]
    middle = (first[(n - 1) // 2] + first[n // 2]) / 2
    ap = [sum((i + 1) / q for i, q in enumerate(p) if q <= 10) / len(p) for p in places]
    gain = [
        sum(1 / math.log2(q + 1) for q in p if q <= 10)
        / sum(1 / math.log2(i + 2) for i in range(min(10, len(p))))
        for p in places
    ]
    return dict(zip(("r1", "r5", "r10"), r)) | {
        "mean": sum(r) / 3,
        "median_rank": middle,
        "map10": 100 * sum(ap) / n,
        "ndcg10": 100 * sum(gain) / n,
    }


def case(name, seed, clips, captions, order, step, top):
    dice = random.Random(seed)
    audio = list(range(clips))
    if order == "shuffled":
        dice.shuffle(audio)
    text = [a for a in audio for _ in range(captions)]
    if order == "interleaved":
        text = [a for _ in range(captions) for a in audio]

    def similarity(t, a):
        value = dice.gauss(0.35 if t == a else 0.0, 0.3)
        return f32(round(value / step) * step if step else value)

    sim = [[similarity(t, a) for a in audio] for t in text]
    count, names = {}, []
    for t in text:
        names.append(f"{t}:{count.get(t, 0)}")
        count[t] = count.get(t, 0) + 1
    row_of = {n: i for i, n in enumerate(names)}
    top = min(top, clips)
    column = lambda c: [row[c] for row in sim]
    best = lambda row: sorted(range(len(row)), key=lambda i: -row[i])[:top]
    # The released re-ranker goes through clips by their number in the data set.
    a2t_index = sorted(audio)
    a2t_candidates = [names[t] for a in a2t_index for t in best(column(audio.index(a)))]
    t2a_candidates = [audio[c] for row in sim for c in best(row)]
    rerank = {
        "alpha_a2t": 0.7,
        "alpha_t2a": 0.4,
        "a2t_index": a2t_index,
        "a2t_candidates": a2t_candidates,
        "a2t_scores": [f32(dice.random()) for _ in a2t_candidates],
        "t2a_index": names,
        "t2a_candidates": t2a_candidates,
        "t2a_scores": [f32(dice.random()) for _ in t2a_candidates],
    }

    def released(matrix):
        t2a = [released_rank(matrix[i], [audio.index(t)]) for i, t in enumerate(text)]
        a2t = [
            released_rank([row[c] for row in matrix], [i for i, t in enumerate(text) if t == a])
            for c, a in enumerate(audio)
        ]
        return {"text_to_audio": released_figures(t2a), "audio_to_text": released_figures(a2t)}

    matrix = [list(row) for row in sim]
    alpha = f32(rerank["alpha_a2t"])
    for q, number in enumerate(a2t_index):
        for k in range(top):
            candidate = a2t_candidates[q * top + k]
            if int(candidate.split(":")[0]) == audio[number]:
                t = row_of[candidate]
                matrix[t][number] = f32(matrix[t][number] + f32(alpha * rerank["a2t_scores"][q * top + k]))
    after_first = released(matrix)
    alpha = f32(rerank["alpha_t2a"])
    for q in range(len(text)):
        for k in range(top):
            a = audio.index(t2a_candidates[q * top + k])
            matrix[q][a] = f32(matrix[q][a] + f32(alpha * rerank["t2a_scores"][q * top + k]))

    def exact(t2a_matrix, a2t_matrix):
        t2a = [exact_places(t2a_matrix[i], [audio.index(t)]) for i, t in enumerate(text)]
        a2t = [
            exact_places([row[c] for row in a2t_matrix], [i for i, t in enumerate(text) if t == a])
            for c, a in enumerate(audio)
        ]
        return {"text_to_audio": exact_figures(t2a), "audio_to_text": exact_figures(a2t)}

    t2a_matrix = [list(row) for row in sim]
    a2t_matrix = [list(row) for row in sim]
    for q in range(len(text)):
        for k in range(top):
            a = audio.index(t2a_candidates[q * top + k])
            t2a_matrix[q][a] += rerank["alpha_t2a"] * rerank["t2a_scores"][q * top + k]
    for q, number in enumerate(a2t_index):
        for k in range(top):
            t = row_of[a2t_candidates[q * top + k]]
            a2t_matrix[t][audio.index(number)] += rerank["alpha_a2t"] * rerank["a2t_scores"][q * top + k]
    return {
        "name": name,
        "audio": audio,
        "text": text,
        "similarity": sim,
        "rerank": rerank,
        "exact": exact(sim, sim),
        "exact_reranked": exact(t2a_matrix, a2t_matrix),
        "released": released(sim),
        "released_after_a2t": after_first,
        "released_reranked": released(matrix),
    }


cases = [
    case("five captions", 1, 9, 5, "sequential", 0, 6),
    case("one caption, interleaved", 2, 14, 1, "interleaved", 0, 50),
    case("shuffled numbers", 3, 12, 3, "shuffled", 0, 10),
    case("many ties", 4, 12, 2, "interleaved", 0.25, 12),
]
with open(sys.argv[1], "w") as out:
    out.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
