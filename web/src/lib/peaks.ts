// Waveforms: fetched for rows that are looked at, newest wish first, few at a time, and kept.
//
// A browser opens six connections to a server. Three at most are for waveforms, so that the sound which
// is about to play never waits behind pictures.

import { request } from './api';

/** Minima and maxima in turn, -128..127. */
export type Peaks = Int8Array;

const POINTS = 400;
const KEPT = 2_000;
const AT_ONCE = 3;

interface Wish {
  id: string;
  wanted: number;
  promise: Promise<Peaks | null>;
  settle: (peaks: Peaks | null) => void;
}

const kept = new Map<string, Peaks | null>();
const wishes = new Map<string, Wish>();
let running = 0;

/** What is already here; undefined if nothing, null where the sound has no waveform. */
export const known = (id: string) => kept.get(id);

/** Asks for a waveform. `drop` takes the wish back, for rows that have scrolled away. */
export function wish(id: string): { promise: Promise<Peaks | null>; drop: () => void } {
  let one = wishes.get(id);
  if (!one) {
    let settle: Wish['settle'] = () => {};
    const promise = new Promise<Peaks | null>((resolve) => (settle = resolve));
    one = { id, wanted: 0, promise, settle };
    wishes.set(id, one);
  }
  const mine = one;
  mine.wanted += 1;
  next();
  return { promise: mine.promise, drop: () => (mine.wanted -= 1) };
}

function next() {
  while (running < AT_ONCE) {
    const waiting = [...wishes.values()].filter((one) => !started.has(one.id));
    for (const one of waiting) if (one.wanted <= 0) wishes.delete(one.id);
    const one = waiting.filter((one) => one.wanted > 0).at(-1);
    if (!one) return;
    started.add(one.id);
    running += 1;
    void load(one.id).then((peaks) => {
      started.delete(one.id);
      wishes.delete(one.id);
      running -= 1;
      if (peaks !== undefined) keep(one.id, peaks);
      one.settle(peaks ?? null);
      next();
    });
  }
}

const started = new Set<string>();

function keep(id: string, peaks: Peaks | null) {
  kept.set(id, peaks);
  if (kept.size > KEPT) kept.delete(kept.keys().next().value as string);
}

/** Undefined where it failed for now and may be asked for again. */
async function load(id: string): Promise<Peaks | null | undefined> {
  try {
    const response = await request(`/waveform/${encodeURIComponent(id)}?points=${POINTS}`);
    const { data, channels, bits } = (await response.json()) as {
      data: number[];
      channels: number;
      bits: number;
    };
    const scale = bits === 16 ? 1 / 256 : 1;
    if (channels === 1) return Int8Array.from(data, (value) => value * scale);
    const first: number[] = [];
    for (let at = 0; at < data.length; at += 2 * channels) first.push(data[at] ?? 0, data[at + 1] ?? 0);
    return Int8Array.from(first, (value) => value * scale);
  } catch (error) {
    const code = (error as { code?: string }).code;
    return code === 'unprocessable' || code === 'not_found' ? null : undefined;
  }
}
