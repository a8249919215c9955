// Sounds made from a number: the same number always gives the same samples, so nothing is stored.
import { deflateSync, crc32 } from 'node:zlib';

export const RATE = 16_000;

/** @param {number} seed */
export function random(seed) {
  let state = (seed * 2654435761) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** @param {{ seed: number, kind: string, duration: number }} clip @returns {Float32Array} */
export function samples({ seed, kind, duration }) {
  const next = random(seed);
  const out = new Float32Array(Math.round(duration * RATE));
  const [base, slow] = [110 + 700 * next(), 0.3 + 2 * next()];
  let low = 0;
  for (let n = 0; n < out.length; n += 1) {
    const t = n / RATE;
    const noise = 2 * next() - 1;
    low += 0.08 * (noise - low);
    const swell = 0.35 + 0.65 * Math.sin(Math.PI * ((t * slow * 0.3) % 1)) ** 2;
    const every = t % (0.35 + 1 / slow);
    out[n] =
      {
        rain: 0.5 * noise * swell + 0.4 * low,
        wind: 2.2 * low * swell,
        door: noise * Math.exp(-14 * t) + 0.7 * Math.sin(2 * Math.PI * 70 * t) * Math.exp(-7 * t),
        bell: Math.sin(2 * Math.PI * base * t) * Math.exp((-2.2 * t) / Math.max(1, duration / 4)),
        click: noise * Math.exp(-90 * every),
        bird:
          every < 0.25
            ? Math.sin(2 * Math.PI * (2200 + 900 * Math.sin(40 * every)) * t) *
              Math.sin((Math.PI * every) / 0.25)
            : 0,
        engine:
          0.5 * Math.sin(2 * Math.PI * 55 * t) * (0.6 + 0.4 * Math.sin(2 * Math.PI * 11 * t)) + 0.5 * low,
        crowd: (low * 1.6 + 0.3 * noise) * (0.5 + 0.5 * swell),
        steps: noise * Math.exp(-22 * (t % 0.55)),
        siren: 0.7 * Math.sin(2 * Math.PI * (700 + 250 * Math.sin(2 * Math.PI * 0.5 * t)) * t * 0.3),
      }[kind] ?? 0;
    out[n] = Math.max(-1, Math.min(1, 0.7 * (out[n] ?? 0)));
  }
  return out;
}

/** 16-bit mono WAV. @param {Float32Array} from */
export function wav(from) {
  const bytes = Buffer.alloc(44 + 2 * from.length);
  bytes.write('RIFF', 0);
  bytes.writeUInt32LE(36 + 2 * from.length, 4);
  bytes.write('WAVEfmt ', 8);
  bytes.writeUInt32LE(16, 16);
  bytes.writeUInt16LE(1, 20);
  bytes.writeUInt16LE(1, 22);
  bytes.writeUInt32LE(RATE, 24);
  bytes.writeUInt32LE(2 * RATE, 28);
  bytes.writeUInt16LE(2, 32);
  bytes.writeUInt16LE(16, 34);
  bytes.write('data', 36);
  bytes.writeUInt32LE(2 * from.length, 40);
  from.forEach((sample, n) => bytes.writeInt16LE(Math.round(sample * 32767), 44 + 2 * n));
  return bytes;
}

/** audiowaveform JSON v2. @param {Float32Array} from @param {number} points */
export function waveform(from, points) {
  const per = Math.max(1, Math.ceil(from.length / points));
  const data = [];
  for (let at = 0; at < from.length; at += per) {
    let [low, high] = [1, -1];
    for (const value of from.subarray(at, at + per)) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    data.push(Math.round(low * 127), Math.round(high * 127));
  }
  return {
    version: 2,
    channels: 1,
    sample_rate: RATE,
    samples_per_pixel: per,
    bits: 8,
    length: data.length / 2,
    data,
  };
}

/** Loudness of 64 bands over time, as a PNG. @param {Float32Array} from @param {number} width */
export function spectrogram(from, width) {
  const [columns, bands, window] = [Math.min(width, 200), 64, 256];
  const rows = Array.from({ length: bands }, () => Buffer.alloc(1 + 3 * columns));
  for (let column = 0; column < columns; column += 1) {
    const start = Math.min(from.length - window, Math.floor((column / columns) * from.length));
    for (let band = 0; band < bands; band += 1) {
      const step = (Math.PI * (band + 1)) / bands;
      let [re, im] = [0, 0];
      for (let n = 0; n < window; n += 1) {
        const value = (from[Math.max(0, start) + n] ?? 0) * Math.sin((Math.PI * n) / window);
        re += value * Math.cos(step * n);
        im += value * Math.sin(step * n);
      }
      const level = Math.max(0, Math.min(1, (Math.log10(re * re + im * im + 1e-6) + 3) / 6));
      const row = rows[bands - 1 - band];
      row?.set(
        [255 * level ** 1.6, 200 * level ** 2.2, 60 + 130 * level * (1 - level)].map(Math.round),
        1 + 3 * column,
      );
    }
  }
  const chunk = (/** @type {string} */ name, /** @type {Buffer} */ body) => {
    const named = Buffer.concat([Buffer.from(name), body]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(body.length);
    sum.writeUInt32BE(crc32(named));
    return Buffer.concat([length, named, sum]);
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(columns, 0);
  head.writeUInt32BE(bands, 4);
  head.set([8, 2], 8);
  return Buffer.concat([
    Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]),
    chunk('IHDR', head),
    chunk('IDAT', deflateSync(Buffer.concat(rows))),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** A zip without compression. @param {[string, Buffer][]} files */
export function zip(files) {
  const [parts, table] = [/** @type {Buffer[]} */ ([]), /** @type {Buffer[]} */ ([])];
  let offset = 0;
  for (const [name, body] of files) {
    const title = Buffer.from(name);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(0x800, 2);
    common.writeUInt32LE(crc32(body), 10);
    common.writeUInt32LE(body.length, 14);
    common.writeUInt32LE(body.length, 18);
    common.writeUInt16LE(title.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), common, title, body]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(offset, 10);
    table.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x00', 'latin1'), common, tail, title]));
    parts.push(local);
    offset += local.length;
  }
  const directory = Buffer.concat(table);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(files.length, 8);
  end.writeUInt16LE(files.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, directory, end]);
}
