// A library of made-up sounds, and a search that is plain enough to be predicted.
import { random } from './sounds.js';

/** @type {Record<string, { words: string[], folder: string, names: string[], tags: string[] }>} */
const kinds = {
  rain: {
    words: ['rain', 'drizzle', 'storm', 'roof', 'tin', 'water'],
    folder: 'Weather',
    names: ['rain_tin_roof', 'shed_storm', 'drizzle_window', 'gutter_drip'],
    tags: ['rain', 'water'],
  },
  wind: {
    words: ['wind', 'gust', 'howl', 'air'],
    folder: 'Weather',
    names: ['wind_pines', 'gusts_ridge', 'draught_keyhole'],
    tags: ['wind', 'air'],
  },
  door: {
    words: ['door', 'close', 'closing', 'slam', 'heavy', 'wood'],
    folder: 'Foley/Doors',
    names: ['door_oak_slam', 'door_cellar_close', 'hatch_steel'],
    tags: ['door', 'wood'],
  },
  bell: {
    words: ['bell', 'ring', 'chime', 'church'],
    folder: 'Music/Struck',
    names: ['bell_church_far', 'chime_brass', 'bowl_struck'],
    tags: ['bell', 'tonal'],
  },
  click: {
    words: ['click', 'metallic', 'short', 'switch', 'button'],
    folder: 'UI/Clicks',
    names: ['switch_bakelite', 'click_relay', 'latch_small'],
    tags: ['click', 'one-shot'],
  },
  bird: {
    words: ['bird', 'song', 'chirp', 'dawn'],
    folder: 'Nature/Birds',
    names: ['blackbird_dawn', 'wren_hedge', 'sparrows_yard'],
    tags: ['bird', 'nature'],
  },
  engine: {
    words: ['engine', 'motor', 'idle', 'diesel', 'car'],
    folder: 'Vehicles',
    names: ['diesel_idle', 'tractor_pass', 'outboard_slow'],
    tags: ['engine', 'vehicle'],
  },
  crowd: {
    words: ['crowd', 'people', 'talking', 'murmur', 'far', 'away'],
    folder: 'Ambience',
    names: ['crowd_station', 'market_morning', 'foyer_murmur'],
    tags: ['crowd', 'people'],
  },
  steps: {
    words: ['steps', 'footsteps', 'walk', 'gravel'],
    folder: 'Foley/Steps',
    names: ['steps_gravel', 'boots_snow', 'heels_marble'],
    tags: ['footsteps', 'foley'],
  },
  siren: {
    words: ['siren', 'alarm', 'police', 'emergency'],
    folder: 'City',
    names: ['siren_passing', 'alarm_shop', 'ambulance_near'],
    tags: ['siren', 'city'],
  },
};
const names = Object.keys(kinds);

/** Names and tags as a stranger's disk may hold them. */
export const HOSTILE = [
  '<img src=x onerror="window.__owned=1">.wav',
  '"><script>window.__owned=1</script>.wav',
  "javascript:window.__owned=1;'.wav",
  '{{constructor.constructor("window.__owned=1")()}} ${window.__owned=1}.wav',
  '\u202egnp.wav \u0000\u0007\u200b.wav',
];

/** @param {number} n @param {string} root */
export function make(n, root) {
  const next = random(n + 1);
  const kind = names[Math.floor(next() * names.length)] ?? 'rain';
  const about = kinds[kind] ?? { words: [], folder: '', names: ['x'], tags: [] };
  const duration =
    kind === 'door' || kind === 'click' ? 0.4 + 2.6 * next() : +(2 + 18 * next() ** 2).toFixed(2);
  const format = ['wav', 'wav', 'wav', 'flac', 'mp3'][Math.floor(next() * 5)] ?? 'wav';
  const base = about.names[Math.floor(next() * about.names.length)];
  const folder = `${root}/${about.folder}`;
  const name = `${base}_${String(n).padStart(4, '0')}.${format}`;
  return {
    id: n.toString(16).padStart(16, '0'),
    seed: n + 1,
    kind,
    path: `${folder}/${name}`,
    name,
    folder,
    duration,
    format,
    codec: 'pcm_s16le',
    sample_rate: [44100, 48000, 96000][Math.floor(next() * 3)] ?? 48000,
    channels: next() < 0.5 ? 1 : 2,
    bytes: Math.round(duration * 96000),
    modified: new Date(1.6e12 + Math.floor(next() * 1.8e11)).toISOString(),
    title: null,
    artist: next() < 0.3 ? 'A. Recordist' : null,
    description: /** @type {string | null} */ (null),
    license: ['CC0', 'CC-BY', null][Math.floor(next() * 3)] ?? null,
    tags: [...about.tags],
    own_tags: /** @type {string[]} */ ([]),
    available: true,
  };
}

/** @typedef {ReturnType<typeof make>} Clip */

/** @param {number} count @returns {Clip[]} */
export function library(count) {
  const clips = Array.from({ length: count }, (_, n) => make(n, '/srv/sounds'));
  HOSTILE.forEach((name, n) => {
    const clip = clips[count - 1 - n];
    if (!clip) return;
    clip.folder = '/srv/sounds/<b>Strange</b>';
    clip.name = name;
    clip.path = `${clip.folder}/${name}`;
    clip.tags = ['hostile', '<svg onload=window.__owned=1>'];
    clip.description = '<iframe srcdoc="<script>parent.__owned=1</script>"></iframe>';
    clip.duration = 1.5;
    clip.kind = 'bell';
  });
  return clips;
}

/** How well a clip fits a kind of sound, 0..1. @param {Clip} clip @param {string} kind */
const alike = (clip, kind) => (clip.kind === kind ? 0.62 : 0.1);

/** @param {Clip} clip @param {string} words */
function fits(clip, words) {
  const asked = words
    .toLowerCase()
    .split(/\W+/)
    .filter((word) => word.length > 2);
  const about = [...(kinds[clip.kind]?.words ?? []), ...clip.tags, ...clip.name.toLowerCase().split(/\W+|_/)];
  const hit = asked.filter((word) => about.includes(word)).length;
  return asked.length ? 0.08 + (0.6 * hit) / asked.length : 0;
}

/** The shares of the question that the server would compute from vectors. @param {Clip} clip @param {any} body @param {Map<string, Clip>} by */
export function score(clip, body, by) {
  const part = (/** @type {any} */ one) => {
    if (typeof one === 'string') return fits(clip, one);
    if (one.id) return alike(clip, by.get(one.id)?.kind ?? '');
    return alike(clip, 'bird'); // every sound that is sent sounds like a bird here
  };
  const list = (/** @type {any} */ value) =>
    value === undefined ? [] : Array.isArray(value) ? value : [value];
  const weights = { query: 1, like: 1, not: 0.5, ...body.weights };
  let [sum, all] = [0, 0];
  if (body.query) [sum, all] = [sum + weights.query * fits(clip, body.query), all + weights.query];
  for (const one of list(body.like)) [sum, all] = [sum + weights.like * part(one), all + weights.like];
  for (const one of list(body.not)) sum -= weights.not * part(one);
  return (all ? sum / all : 0) + 0.06 * random(clip.seed * 7)();
}

/** Relevance over time: one window a second, best somewhere of its own. @param {Clip} clip @param {number} total */
export function heat(clip, total) {
  const windows = Math.max(1, Math.ceil(clip.duration / 1.5));
  const next = random(clip.seed * 13);
  const peak = 0.6 * next() * windows;
  return Array.from({ length: windows }, (_, n) => ({
    start: n * 1.5,
    end: Math.min(clip.duration, (n + 1) * 1.5),
    score: total * (0.35 + 0.65 * Math.exp(-((n - peak) ** 2) / 4)) * (0.9 + 0.1 * next()),
  }));
}
