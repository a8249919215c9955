// The server's API over a made-up library, as strict as the server: what the page sends wrongly fails here.
//
//   node test/mock/serve.js [PORT]     (the page as built, or `npm run dev` with AUROLA=http://127.0.0.1:PORT)
import { createReadStream, existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { heat, library, make, score } from './library.js';
import { samples, spectrogram, wav, waveform, zip } from './sounds.js';

/** @typedef {import('./library.js').Clip} Clip */

const assets = join(dirname(fileURLToPath(import.meta.url)), '../../../crates/server/assets');
const kinds = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-mock'; img-src 'self' data: blob:; " +
  "media-src 'self' blob:; connect-src 'self'; font-src 'self'; worker-src 'self' blob:; manifest-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const SEARCH = [
  'query',
  'like',
  'not',
  'weights',
  'mode',
  'filter',
  'sort',
  'group_by',
  'limit',
  'offset',
  'min_relevance',
  'rerank',
  'rerank_ms',
  'explain',
];
const FILTER = [
  'path',
  'path_has',
  'ext',
  'duration',
  'sample_rate',
  'channels',
  'tags',
  'license',
  'modified',
  'ids',
  'collection',
];

class Fault extends Error {
  constructor(/** @type {number} */ status, /** @type {string} */ code, /** @type {string} */ message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** @param {{ clips?: number, port?: number, jobFiles?: number, jobMs?: number }} options */
export async function serve({ clips: count = 5000, port = 0, jobFiles = 300, jobMs = 3000 } = {}) {
  let clips = library(count);
  let by = new Map(clips.map((clip) => [clip.id, clip]));
  const roots = [{ path: '/srv/sounds', files: count, present: true }];
  /** @type {Map<string, { title: string, ids: string[] }>} */
  const collections = new Map([
    ['field-trip', { title: 'Field trip', ids: clips.slice(0, 3).map((clip) => clip.id) }],
  ]);
  /** @type {any[]} */
  const jobs = [];
  /** What the page asked, for tests. @type {any[]} */
  const asked = [];
  const state = { down: false, delay: 0 };

  const bad = (/** @type {string} */ message) => new Fault(400, 'bad_request', message);
  const find = (/** @type {string} */ id) => {
    const clip = by.get(id);
    if (!clip) throw new Fault(404, 'not_found', `there is no sound "${id}" in the index`);
    return clip;
  };
  const tagCounts = () => {
    /** @type {Map<string, number>} */
    const counts = new Map();
    for (const clip of clips) for (const tag of clip.tags) counts.set(tag, (counts.get(tag) ?? 0) + 1);
    return [...counts]
      .map(([tag, count]) => ({ tag, count }))
      .sort((a, b) => b.count - a.count)
      .slice(0, 200);
  };
  const index = () => ({
    path: '/srv/aurola/library.sqlite',
    files: clips.length,
    sounds: clips.length,
    windows: clips.length * 3,
    failed: 1,
    bytes: clips.length * 3000,
    roots,
    formats: ['flac', 'mp3', 'wav'],
  });

  function search(/** @type {any} */ body) {
    for (const key of Object.keys(body))
      if (!SEARCH.includes(key)) throw bad(`the JSON: unknown field \`${key}\``);
    const filter = body.filter ?? {};
    for (const key of Object.keys(filter))
      if (!FILTER.includes(key)) throw bad(`the JSON: unknown field \`${key}\``);
    const { limit = 20, offset = 0, sort = 'relevance', group_by = 'none', min_relevance = 'none' } = body;
    if (limit < 1 || limit > 1000) throw bad(`limit: ${limit} is not in 1..=1000`);
    if (offset > 10000) throw bad(`offset: ${offset} is not in 0..=10000`);
    for (const weight of Object.values(body.weights ?? {}))
      if (!(Number(weight) > 0)) throw bad('weights: not a number above 0');
    for (const one of [body.like ?? []].flat())
      if (one.audio !== undefined && Buffer.from(one.audio, 'base64').length < 44)
        throw new Fault(422, 'unprocessable', 'the sound cannot be decoded');
    if (!['relevance', 'newest', 'shortest', 'longest', 'path'].includes(sort)) throw bad(`sort: "${sort}"`);
    if (!['none', 'folder', 'alike'].includes(group_by)) throw bad(`group_by: "${group_by}"`);
    const members = filter.collection === undefined ? null : collections.get(filter.collection)?.ids;
    if (members === undefined)
      throw new Fault(404, 'not_found', `there is no collection "${filter.collection}"`);
    const within = (/** @type {number} */ value, /** @type {any} */ range = {}) =>
      value >= (range.min ?? 0) && value <= (range.max ?? Infinity);
    const passing = clips.filter(
      (clip) =>
        (!filter.path ||
          filter.path.some((/** @type {string} */ root) => clip.path.startsWith(root + '/'))) &&
        (!filter.path_has || clip.path.toLowerCase().includes(filter.path_has.toLowerCase())) &&
        (!filter.ext || filter.ext.includes(clip.format)) &&
        within(clip.duration, filter.duration) &&
        within(clip.sample_rate, filter.sample_rate) &&
        within(clip.channels, filter.channels) &&
        (filter.tags ?? []).every((/** @type {string} */ tag) =>
          clip.tags.some((one) => one.toLowerCase() === tag.toLowerCase()),
        ) &&
        (!filter.license || filter.license[0] === clip.license) &&
        (!filter.modified?.since || clip.modified >= filter.modified.since) &&
        (!filter.modified?.until || clip.modified <= filter.modified.until) &&
        (!members || members.includes(clip.id)),
    );
    const asking = body.query || body.like;
    let hits = passing.map((clip) => ({ clip, total: asking ? score(clip, body, by) : 0 }));
    const label = (/** @type {number} */ total) => (total > 0.5 ? 'strong' : total > 0.3 ? 'likely' : 'weak');
    const order = ['weak', 'likely', 'strong'];
    if (asking && order.includes(min_relevance))
      hits = hits.filter(({ total }) => order.indexOf(label(total)) >= order.indexOf(min_relevance));
    const orders = {
      relevance: (/** @type {any} */ a, /** @type {any} */ b) => b.total - a.total,
      newest: (/** @type {any} */ a, /** @type {any} */ b) => (a.clip.modified < b.clip.modified ? 1 : -1),
      shortest: (/** @type {any} */ a, /** @type {any} */ b) => a.clip.duration - b.clip.duration,
      longest: (/** @type {any} */ a, /** @type {any} */ b) => b.clip.duration - a.clip.duration,
      path: (/** @type {any} */ a, /** @type {any} */ b) => (a.clip.path < b.clip.path ? -1 : 1),
    };
    hits.sort(orders[/** @type {keyof typeof orders} */ (sort)]);
    /** @type {Map<string, number>} */
    const folded = new Map();
    if (group_by === 'folder')
      hits = hits.filter(({ clip }) => {
        const seen = folded.get(clip.folder);
        folded.set(clip.folder, (seen ?? -1) + 1);
        return seen === undefined;
      });
    const page = hits.slice(offset, offset + limit);
    const results = page.map(({ clip, total }) => {
      const { seed, kind, ...facts } = clip;
      const moments = heat(clip, total);
      const best = [...moments].sort((a, b) => b.score - a.score).slice(0, 1);
      return {
        ...facts,
        score: total,
        relevance: asking ? { score: Math.min(0.999, 0.4 + total), label: label(total) } : null,
        spans: asking ? best : [],
        ...(body.explain ? { heat: moments } : {}),
        ...(group_by === 'folder' ? { group: { key: clip.folder, more: folded.get(clip.folder) ?? 0 } } : {}),
      };
    });
    const negated = /\b(without|no|not)\b/.test(body.query ?? '') && !body.not;
    return {
      count: results.length,
      next: offset + limit < hits.length ? offset + limit : null,
      searched: passing.length,
      results,
      skipped: [],
      notes: negated ? ['the model hardly hears a negation; `not` is a field of its own'] : [],
      index: { fingerprint: '0', model: 'mock' },
      timing: { embed_ms: 3, search_ms: 2, rerank_ms: 0, total_ms: 5 },
    };
  }

  function begin(/** @type {string[]} */ paths) {
    for (const path of paths)
      if (!path.startsWith('/')) throw bad(`paths: "${path}" is not an absolute path`);
    const root = paths[0] ?? '/srv/sounds';
    const progress = {
      files_done: 0,
      files: jobFiles,
      skipped: 0,
      seconds_done: 0,
      seconds: jobFiles * 8,
      seconds_left_wall: jobMs / 1000,
      current: '',
      speed: 60,
    };
    const job = {
      id: `j${jobs.length + 1}`,
      state: 'running',
      paths,
      created: new Date().toISOString(),
      finished: null,
      progress,
      skipped: /** @type {any[]} */ ([]),
      error: null,
      result: null,
      watchers: new Set(),
    };
    jobs.unshift(job);
    const from = clips.length;
    const steps = 20;
    const timer = setInterval(() => {
      if (job.state === 'cancelled') return clearInterval(timer);
      for (let n = 0; n < jobFiles / steps; n += 1) {
        const clip = make(from + progress.files_done, root);
        clips.push(clip);
        by.set(clip.id, clip);
        progress.files_done += 1;
        progress.current = clip.path;
      }
      progress.seconds_left_wall = (jobMs / 1000) * (1 - progress.files_done / progress.files);
      if (progress.files_done >= progress.files) {
        clearInterval(timer);
        job.state = 'done';
        roots.push({ path: root, files: jobFiles, present: true });
      }
      for (const tell of job.watchers) tell();
    }, jobMs / steps);
    return job;
  }
  const told = (/** @type {any} */ job) => ({ ...job, watchers: undefined });

  function exported(/** @type {Clip[]} */ list, /** @type {string} */ format) {
    const csv = Buffer.from(
      [
        'id,path,name,license',
        ...list.map((clip) =>
          [clip.id, clip.path, clip.name, clip.license ?? '']
            .map((text) => `"${text.replaceAll('"', '""')}"`)
            .join(','),
        ),
      ].join('\r\n'),
    );
    if (format === 'csv') return csv;
    if (format === 'm3u8')
      return Buffer.from(
        [
          '#EXTM3U',
          ...list.flatMap((clip) => [`#EXTINF:${Math.round(clip.duration)},${clip.name}`, clip.path]),
        ].join('\n'),
      );
    if (format === 'json') return Buffer.from(JSON.stringify({ clips: list }));
    if (format !== 'zip') throw bad(`format: ${format}`);
    const sounds = list.map(
      (clip) => /** @type {[string, Buffer]} */ ([clip.name.replaceAll('/', '_'), wav(samples(clip))]),
    );
    const credits = list.map((clip) => `${clip.name}\n  license: ${clip.license ?? 'unknown'}\n`).join('');
    return zip([...sounds, ['ATTRIBUTION.txt', Buffer.from(credits)], ['collection.csv', csv]]);
  }

  const server = createServer((request, response) => {
    void answer(request, response).catch((error) => {
      const { status = 500, code = 'internal' } = error;
      if (status === 500) console.error(error);
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ error: { code, message: error.message } }));
    });
  });

  async function answer(
    /** @type {import('node:http').IncomingMessage} */ request,
    /** @type {import('node:http').ServerResponse} */ response,
  ) {
    if (state.down) return void request.socket.destroy();
    const url = new URL(request.url ?? '/', 'http://mock');
    const [, area = '', ...rest] = url.pathname.split('/').map(decodeURIComponent);
    const method = request.method ?? 'GET';
    const json = (/** @type {any} */ value, status = 200) => {
      response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
      response.end(JSON.stringify(value));
    };
    const read = async () => {
      if (!request.headers['content-type']?.startsWith('application/json'))
        throw new Fault(415, 'unsupported', 'the body must be JSON');
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      return JSON.parse(Buffer.concat(chunks).toString() || '{}');
    };

    if (area === 'audio') {
      const bytes = wav(samples(find(rest[0] ?? '')));
      const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
      const [from, to] = [
        Number(range?.[1] ?? 0),
        Math.min(bytes.length - 1, Number(range?.[2] || bytes.length - 1)),
      ];
      response.writeHead(range ? 206 : 200, {
        'content-type': 'audio/wav',
        'accept-ranges': 'bytes',
        'content-length': to - from + 1,
        ...(range ? { 'content-range': `bytes ${from}-${to}/${bytes.length}` } : {}),
        ...(url.searchParams.has('download') ? { 'content-disposition': 'attachment' } : {}),
      });
      return void response.end(bytes.subarray(from, to + 1));
    }
    if (area === 'waveform')
      return json(waveform(samples(find(rest[0] ?? '')), Number(url.searchParams.get('points') ?? 1000)));
    if (area === 'spectrogram') {
      response.writeHead(200, { 'content-type': 'image/png' });
      return void response.end(
        spectrogram(
          samples(find((rest[0] ?? '').replace('.webp', ''))),
          Number(url.searchParams.get('width') ?? 1000),
        ),
      );
    }
    if (area !== 'v1') {
      const name = url.pathname === '/' ? 'index.html' : normalize(url.pathname).replace(/^(\.\.[/\\])+/, '');
      const file = join(assets, name);
      if (!file.startsWith(assets) || !existsSync(file)) throw new Fault(404, 'not_found', 'no such file');
      const kind = kinds[/** @type {keyof typeof kinds} */ (extname(file))] ?? 'application/octet-stream';
      response.writeHead(200, {
        'content-type': kind,
        'x-content-type-options': 'nosniff',
        ...(name === 'index.html' ? { 'content-security-policy': policy } : {}),
      });
      if (name === 'index.html')
        return void response.end(readFileSync(file, 'utf8').replaceAll('__CSP_NONCE__', 'mock'));
      return void createReadStream(file).pipe(response);
    }

    const [noun = '', id = '', part = '', member = ''] = rest;
    const route = `${method} ${noun}${id && '/*'}${part && `/${part}`}${member && '/*'}`;
    switch (route) {
      case 'GET status':
        return json({
          version: '0.1.0',
          ready: true,
          writable: true,
          model: { id: 'mock', dim: 256, fingerprint: '0' },
          index: { ...index(), tags: tagCounts() },
          jobs: jobs.map(({ id, state }) => ({ id, state })),
          limits: { results: 1000, queries: 64, body_bytes: 104857600 },
        });
      case 'POST search': {
        const body = await read();
        asked.push(body);
        if (state.delay) await new Promise((resolve) => setTimeout(resolve, state.delay));
        return json(search(body));
      }
      case 'GET index':
        return json({
          ...index(),
          failures: [{ path: '/srv/sounds/broken.wav', reason: 'damaged 12.48 s in' }],
        });
      case 'POST index':
        return json(told(begin((await read()).paths ?? [])), 202);
      case 'GET jobs':
        return json({ jobs: jobs.map(told) });
      case 'GET jobs/*': {
        const job = jobs.find((one) => one.id === id);
        if (!job) throw new Fault(404, 'not_found', 'no such job');
        if (!request.headers.accept?.includes('text/event-stream')) return json(told(job));
        response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
        const tell = () => {
          const over = job.state !== 'running';
          response.write(`event: ${over ? 'end' : 'progress'}\ndata: ${JSON.stringify(told(job))}\n\n`);
          if (over) response.end();
        };
        job.watchers.add(tell);
        request.on('close', () => job.watchers.delete(tell));
        return tell();
      }
      case 'DELETE jobs/*': {
        const job = jobs.find((one) => one.id === id);
        if (job) job.state = 'cancelled';
        for (const tell of job?.watchers ?? []) tell();
        return json({}, 202);
      }
      case 'GET collections':
        return json({
          collections: [...collections].map(([name, { title, ids }]) => ({ name, title, count: ids.length })),
        });
      case 'PUT collections/*':
        if (!/^[a-z0-9_-]{1,64}$/.test(id)) throw bad("a collection's name is 1 to 64 of a-z, 0-9, _ and -");
        collections.set(id, { ids: [], ...collections.get(id), title: (await read()).title ?? id });
        return json({ name: id }, 201);
      case 'DELETE collections/*':
        collections.delete(id);
        return void response.writeHead(204).end();
      case 'PUT collections/*/clips/*':
        collections.get(id)?.ids.push(find(member).id);
        return void response.writeHead(204).end();
      case 'DELETE collections/*/clips/*': {
        const one = collections.get(id);
        if (one) one.ids = one.ids.filter((other) => other !== member);
        return void response.writeHead(204).end();
      }
      case 'GET collections/*/export': {
        const format = url.searchParams.get('format') ?? 'csv';
        const bytes = exported((collections.get(id)?.ids ?? []).map(find), format);
        response.writeHead(200, { 'content-disposition': `attachment; filename="${id}.${format}"` });
        return void response.end(bytes);
      }
      case 'POST export': {
        const { ids, format } = await read();
        return void response.writeHead(200).end(exported(ids.map(find), format));
      }
      case 'PUT clips/*/tags': {
        const [clip, { add = [], remove = [] }] = [find(id), await read()];
        clip.own_tags = [...clip.own_tags.filter((tag) => !remove.includes(tag)), ...add];
        clip.tags = [...clip.tags.filter((tag) => !remove.includes(tag)), ...add];
        return json({ tags: clip.tags, own_tags: clip.own_tags });
      }
      default:
        throw new Fault(404, 'not_found', `there is no such route: ${route}`);
    }
  }

  await new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve(undefined)));
  const address = server.address();
  const at = typeof address === 'object' && address ? address.port : port;
  return {
    url: `http://127.0.0.1:${at}`,
    asked,
    state,
    close: () => (server.closeAllConnections(), server.close()),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url } = await serve({ port: Number(process.argv[2] ?? 8080) });
  console.log(url);
}
