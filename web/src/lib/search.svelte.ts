// What is asked and what is found.
//
//   words, sounds, likes, dislikes, filters ─► one question ─► pages of answers, fetched as they are seen
//
// Any change asks anew and takes back what was under way, so an old answer never replaces a newer one.

import { ApiError, asApiError, call, type Answer, type Clip, type Hit, type Label } from './api';
import { say } from './say.svelte';
import { base64, toBase64, toWav } from './sounds';

/** Rows fetched at once. The first page is what a person waits for, so it is small. */
export const PAGE = 50;
/** The server's furthest offset. */
const FURTHEST = 10_000;
const DEBOUNCE_MS = 130;

/** A sound or words that pull the question towards them, or push it away. */
export type Shaper = {
  key: number;
  sign: 'like' | 'not';
  label: string;
} & (
  | { kind: 'clip'; id: string }
  | { kind: 'words'; text: string }
  | { kind: 'sound'; audio: string; file: Blob; url: string }
);

export interface Filter {
  has: string;
  roots: string[];
  formats: string[];
  tags: string[];
  shortest: number | null;
  longest: number | null;
  rate: number | null;
  channels: 'any' | 'mono' | 'stereo';
  since: string;
  until: string;
  license: string;
  collection: string | null;
}

export type SortBy = 'relevance' | 'newest' | 'shortest' | 'longest' | 'path';
export type GroupBy = 'none' | 'folder' | 'alike';
export type Least = Label | 'none';

const open = (): Filter => ({
  has: '',
  roots: [],
  formats: [],
  tags: [],
  shortest: null,
  longest: null,
  rate: null,
  channels: 'any',
  since: '',
  until: '',
  license: '',
  collection: null,
});

type Row = { hit: Hit; inside: boolean };

class Search {
  words = $state('');
  shapers = $state<Shaper[]>([]);
  /** 0: only the words count, 1: only the sounds. */
  balance = $state(0.5);
  filter = $state<Filter>(open());
  sort = $state<SortBy>('relevance');
  group = $state<GroupBy>('none');
  least = $state<Least>('none');

  /** Rows by place; holes are not fetched yet. */
  rows = $state.raw<(Row | undefined)[]>([]);
  extent = $state(0);
  isWhole = $state(true);
  busy = $state(false);
  error = $state.raw<ApiError | null>(null);
  notes = $state.raw<string[]>([]);
  timing = $state.raw<Answer['timing'] | null>(null);
  searched = $state<number | null>(null);
  answered = $state(false);
  /** Goes up with every new question that was answered. */
  round = $state(0);

  private keys = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  /** The library grew since the question under way was asked. */
  private stale = false;
  private abort = new AbortController();
  private fetching = new Set<number>();
  private retry: ReturnType<typeof setTimeout> | undefined;

  get isAsking() {
    return this.words.trim() !== '' || this.shapers.some((one) => one.sign === 'like');
  }

  get canBalance() {
    return this.words.trim() !== '' && this.shapers.some((one) => one.sign === 'like');
  }

  get filters() {
    const plain = open();
    return (Object.keys(plain) as (keyof Filter)[]).filter(
      (key) => JSON.stringify(this.filter[key]) !== JSON.stringify(plain[key]),
    ).length;
  }

  at(place: number): Row | undefined {
    return this.rows[place];
  }

  /** The question, as the server takes it. */
  body(offset: number, limit: number): Record<string, unknown> {
    const { filter } = this;
    const words = this.words.trim();
    const likes = this.shapers.filter((one) => one.sign === 'like');
    const nots = this.shapers.filter((one) => one.sign === 'not');
    const mixed = words !== '' && likes.length > 0;
    const useWords = words !== '' && !(mixed && this.balance >= 0.99);
    const useLikes = likes.length > 0 && !(mixed && this.balance <= 0.01);
    const part = (one: Shaper) =>
      one.kind === 'clip' ? { id: one.id } : one.kind === 'words' ? one.text : { audio: one.audio };
    const asking = useWords || useLikes;
    const between = (min: number | null, max: number | null) => ({
      ...(min === null ? {} : { min }),
      ...(max === null ? {} : { max }),
    });
    const channels = { any: {}, mono: { max: 1 }, stereo: { min: 2 } }[filter.channels];
    return {
      ...(useWords ? { query: words } : {}),
      ...(useLikes ? { like: likes.map(part) } : {}),
      ...(asking && nots.length > 0 ? { not: nots.map(part) } : {}),
      ...(useWords && useLikes
        ? { weights: { query: 2 * (1 - this.balance), like: (2 * this.balance) / likes.length } }
        : {}),
      filter: {
        ...(filter.has.trim() ? { path_has: filter.has.trim() } : {}),
        ...(filter.roots.length ? { path: [...filter.roots] } : {}),
        ...(filter.formats.length ? { ext: [...filter.formats] } : {}),
        ...(filter.tags.length ? { tags: [...filter.tags] } : {}),
        duration: between(filter.shortest, filter.longest),
        sample_rate: between(filter.rate, null),
        channels,
        modified: {
          ...(filter.since ? { since: filter.since } : {}),
          ...(filter.until ? { until: filter.until } : {}),
        },
        ...(filter.license.trim() ? { license: [filter.license.trim()] } : {}),
        ...(filter.collection ? { collection: filter.collection } : {}),
      },
      sort: this.sort === 'relevance' && !asking ? 'path' : this.sort,
      group_by: this.group,
      ...(asking && this.least !== 'none' ? { min_relevance: this.least } : {}),
      ...(asking ? { explain: true } : {}),
      limit,
      offset,
    };
  }

  /** Asks soon, once typing rests. */
  soon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.timer = undefined;
      void this.now();
    }, DEBOUNCE_MS);
  }

  /** Asks at once. `quiet` keeps the place in the list: the library grew, the question did not change. */
  async now(quiet = false): Promise<void> {
    if (quiet && (this.busy || this.timer !== undefined)) {
      // A question under way, or about to be asked, comes first: a library that grows fast would put it off for ever.
      this.stale = true;
      return;
    }
    this.stale = false;
    clearTimeout(this.timer);
    this.timer = undefined;
    clearTimeout(this.retry);
    this.abort.abort();
    const abort = (this.abort = new AbortController());
    this.fetching.clear();
    this.busy = true;
    this.remember();
    const before = this.rows.length;
    try {
      const limit = quiet ? Math.min(1000, Math.max(PAGE, Math.ceil(before / PAGE) * PAGE)) : PAGE;
      const answer = await this.ask(0, limit, abort.signal);
      this.rows = answer.results.map((hit) => ({ hit, inside: false }));
      this.measure(answer, 0);
      this.notes = answer.notes;
      this.timing = answer.timing;
      this.searched = answer.searched ?? null;
      this.error = null;
      this.answered = true;
      if (!quiet) this.round += 1;
      performance.mark('aurola:answered');
    } catch (error) {
      if (abort.signal.aborted) return;
      this.error = asApiError(error);
      if (!quiet) {
        this.rows = [];
        this.extent = 0;
      }
      if (this.error.code === 'offline' || this.error.code === 'overloaded')
        this.retry = setTimeout(() => void this.now(quiet), 3_000);
    } finally {
      if (!abort.signal.aborted) {
        this.busy = false;
        if (this.stale) void this.now(true);
      }
    }
  }

  /** Fetches what of these places is not there yet. */
  see(from: number, to: number) {
    for (let page = Math.floor(from / PAGE); page <= Math.floor(Math.max(from, to - 1) / PAGE); page += 1) {
      const offset = page * PAGE;
      if (offset >= this.extent || offset > FURTHEST || this.fetching.has(page)) continue;
      const last = Math.min(offset + PAGE, this.extent);
      let complete = true;
      for (let place = offset; place < last; place += 1) complete &&= this.rows[place] !== undefined;
      if (complete) continue;
      this.fetching.add(page);
      void this.more(page, this.abort.signal);
    }
  }

  private async more(page: number, signal: AbortSignal) {
    const offset = page * PAGE;
    try {
      const answer = await this.ask(offset, PAGE, signal);
      const rows = [...this.rows];
      answer.results.forEach((hit, n) => (rows[offset + n] = { hit, inside: false }));
      this.rows = rows;
      this.measure(answer, offset);
    } catch (error) {
      if (signal.aborted) return;
      say.failed('More results', error);
      // Not asked for again by every frame that shows the gap.
      await new Promise((resolve) => setTimeout(resolve, 2_000));
    } finally {
      if (!signal.aborted) this.fetching.delete(page);
    }
  }

  private async ask(offset: number, limit: number, signal: AbortSignal): Promise<Answer> {
    const send = () => call<Answer>('/v1/search', { method: 'POST', body: this.body(offset, limit), signal });
    try {
      return await send();
    } catch (error) {
      // What the server cannot decode the browser often can: Opus in WebM, AAC.
      const raw = this.shapers.filter((one) => one.kind === 'sound' && one.file.type !== 'audio/wav');
      if (!(error instanceof ApiError && error.code === 'unprocessable') || raw.length === 0) throw error;
      for (const one of raw) {
        if (one.kind !== 'sound') continue;
        one.file = await toWav(one.file, one.label);
        one.audio = await base64(one.file);
      }
      return await send();
    }
  }

  /** How long the list is, as far as the answers tell. */
  private measure(answer: Answer, offset: number) {
    const end = offset + answer.results.length;
    const most = FURTHEST + PAGE;
    const isCut = this.group !== 'none' || (this.least !== 'none' && this.isAsking);
    if (answer.next === null) {
      this.extent = Math.min(end, most);
      this.isWhole = true;
      if (this.rows.length > this.extent) this.rows = this.rows.slice(0, this.extent);
    } else {
      const said = isCut ? end + PAGE : Math.max(end, answer.searched ?? end + PAGE);
      this.extent = Math.min(Math.max(said, offset === 0 ? 0 : this.extent), most);
      this.isWhole = this.extent < most;
    }
  }

  // Shapers

  private shape(one: Omit<Shaper, 'key'>) {
    this.shapers = [...this.shapers, { ...one, key: ++this.keys } as Shaper];
    if (one.sign === 'like' && this.sort !== 'relevance') this.sort = 'relevance';
    void this.now();
  }

  clip(clip: Clip, sign: 'like' | 'not') {
    const others = this.shapers.filter((one) => !(one.kind === 'clip' && one.id === clip.id));
    const again = this.shapers.some((one) => one.kind === 'clip' && one.id === clip.id && one.sign === sign);
    this.shapers = others;
    if (again) void this.now();
    else this.shape({ sign, kind: 'clip', id: clip.id, label: clip.name } as Omit<Shaper, 'key'>);
  }

  signOf(id: string): 'like' | 'not' | null {
    return this.shapers.find((one) => one.kind === 'clip' && one.id === id)?.sign ?? null;
  }

  notWords(text: string) {
    if (text.trim() === '') return;
    const label = text.trim();
    this.shape({ sign: 'not', kind: 'words', text: label, label } as Omit<Shaper, 'key'>);
  }

  async sound(file: Blob, label: string) {
    try {
      const audio = await toBase64(file, label);
      const url = URL.createObjectURL(file);
      this.shape({ sign: 'like', kind: 'sound', audio, file, url, label } as Omit<Shaper, 'key'>);
    } catch (error) {
      say.failed(label, error);
    }
  }

  unshape(key: number) {
    for (const one of this.shapers) if (one.key === key && one.kind === 'sound') URL.revokeObjectURL(one.url);
    this.shapers = this.shapers.filter((one) => one.key !== key);
    void this.now();
  }

  turn(key: number) {
    this.shapers = this.shapers.map((one) =>
      one.key === key ? { ...one, sign: one.sign === 'like' ? 'not' : 'like' } : one,
    );
    void this.now();
  }

  clearFilter() {
    this.filter = open();
    this.least = 'none';
    void this.now();
  }

  /** Opens a folder's group in place: its other sounds, best first, below the one that stands for it. */
  async unfold(place: number) {
    const row = this.rows[place];
    const group = row?.hit.group;
    if (!row || !group?.key) return;
    const body = this.body(0, Math.min(1000, group.more + 1));
    body['group_by'] = 'none';
    body['filter'] = { ...(body['filter'] as object), path: [group.key] };
    const signal = this.abort.signal;
    try {
      const { results } = await call<Answer>('/v1/search', { method: 'POST', body, signal });
      // Folders within have groups of their own.
      const others = results.filter((hit) => hit.id !== row.hit.id && hit.folder === group.key);
      const rows = [...this.rows];
      rows[place] = { ...row, hit: { ...row.hit, group: { ...group, more: 0 } } };
      rows.splice(place + 1, 0, ...others.map((hit) => ({ hit, inside: true })));
      this.rows = rows;
      this.extent += others.length;
    } catch (error) {
      say.failed('Opening the folder', error);
    }
  }

  /** Puts an edit into the rows that show the sound. */
  patch(id: string, change: Partial<Hit>) {
    this.rows = this.rows.map((row) =>
      row?.hit.id === id ? { ...row, hit: { ...row.hit, ...change } } : row,
    );
  }

  // The address holds the question, so that it can be kept, sent and reloaded.

  private remember() {
    const plain = open();
    const filter = Object.fromEntries(
      Object.entries(this.filter).filter(
        ([key, value]) => JSON.stringify(value) !== JSON.stringify(plain[key as keyof Filter]),
      ),
    );
    const asked = new URLSearchParams();
    if (this.words.trim()) asked.set('q', this.words.trim());
    if (this.sort !== 'relevance') asked.set('sort', this.sort);
    if (this.group !== 'none') asked.set('group', this.group);
    if (this.least !== 'none') asked.set('least', this.least);
    if (Object.keys(filter).length) asked.set('filter', JSON.stringify(filter));
    const text = asked.toString();
    history.replaceState(null, '', text ? `?${text}` : location.pathname);
  }

  recall() {
    const asked = new URLSearchParams(location.search);
    const choice = <T extends string>(name: string, of: readonly T[], otherwise: T) =>
      of.find((one) => one === asked.get(name)) ?? otherwise;
    this.words = asked.get('q') ?? '';
    this.sort = choice('sort', ['relevance', 'newest', 'shortest', 'longest', 'path'] as const, 'relevance');
    this.group = choice('group', ['none', 'folder', 'alike'] as const, 'none');
    this.least = choice('least', ['none', 'weak', 'likely', 'strong'] as const, 'none');
    try {
      const given = JSON.parse(asked.get('filter') ?? '{}') as Record<string, unknown>;
      const filter = open() as unknown as Record<string, unknown>;
      for (const [key, value] of Object.entries(filter)) {
        const other = given[key];
        const fits =
          key === 'shortest' || key === 'longest' || key === 'rate'
            ? typeof other === 'number'
            : key === 'collection'
              ? typeof other === 'string'
              : Array.isArray(value)
                ? Array.isArray(other) && other.every((one) => typeof one === 'string')
                : typeof other === typeof value;
        if (fits) filter[key] = other;
      }
      this.filter = filter as unknown as Filter;
    } catch {
      // A mangled address asks for everything.
      this.filter = open();
    }
  }
}

export const search = new Search();
