// The library: what is indexed, what is being indexed, and collections.

import {
  ApiError,
  asApiError,
  call,
  gate,
  request,
  type Clip,
  type Collection,
  type Job,
  type Status,
} from './api';
import { count } from './format';
import { say } from './say.svelte';
import { search } from './search.svelte';

const REFRESH_MS = 3_000;

interface Failure {
  path: string;
  reason: string;
}

class Library {
  status = $state.raw<Status | null>(null);
  error = $state.raw<ApiError | null>(null);
  jobs = $state.raw<Job[]>([]);
  collections = $state.raw<Collection[]>([]);
  failures = $state.raw<Failure[]>([]);
  /** The server wants a key. */
  locked = $state(false);
  /** Whether new results may appear by themselves: not while somebody reads further down. */
  mayRefresh: () => boolean = () => true;

  private watched = new Map<string, EventSource>();
  private refreshed = 0;

  get running(): Job | null {
    return (
      this.jobs.find((job) => job.state === 'running') ??
      this.jobs.find((job) => job.state === 'queued') ??
      null
    );
  }

  get writable() {
    return this.status?.writable ?? false;
  }

  async load(): Promise<void> {
    gate.closed = () => (this.locked = true);
    try {
      this.status = await call<Status>('/v1/status');
      this.error = null;
      const [{ jobs }, { collections }] = await Promise.all([
        call<{ jobs: Job[] }>('/v1/jobs'),
        call<{ collections: Collection[] }>('/v1/collections'),
      ]);
      this.jobs = jobs;
      this.collections = collections;
      for (const job of jobs) this.watch(job);
    } catch (error) {
      this.error = asApiError(error);
      if (this.error.code === 'offline') setTimeout(() => void this.load(), 3_000);
    }
  }

  async signIn(key: string): Promise<boolean> {
    try {
      await request('/v1/session', { method: 'POST', body: { key } });
      this.locked = false;
      await this.load();
      void search.now();
      return true;
    } catch {
      return false;
    }
  }

  // Indexing

  async index(paths: string[]): Promise<boolean> {
    try {
      const job = await call<Job>('/v1/index', { method: 'POST', body: { paths } });
      this.jobs = [job, ...this.jobs.filter((one) => one.id !== job.id)];
      this.watch(job);
      return true;
    } catch (error) {
      say.failed('Indexing', error);
      return false;
    }
  }

  async cancel(job: Job) {
    try {
      await request(`/v1/jobs/${encodeURIComponent(job.id)}`, { method: 'DELETE' });
    } catch (error) {
      say.failed('Stopping', error);
    }
  }

  private watch(job: Job) {
    if ((job.state !== 'queued' && job.state !== 'running') || this.watched.has(job.id)) return;
    const events = new EventSource(`/v1/jobs/${encodeURIComponent(job.id)}`);
    this.watched.set(job.id, events);
    const told = (event: MessageEvent<string>) => {
      const now = JSON.parse(event.data) as Job;
      this.jobs = this.jobs.map((one) => (one.id === now.id ? now : one));
      return now;
    };
    events.addEventListener('progress', (event) => {
      told(event);
      if (Date.now() - this.refreshed > REFRESH_MS) void this.refresh();
    });
    events.addEventListener('end', (event) => {
      const now = told(event);
      events.close();
      this.watched.delete(job.id);
      if (now.state === 'failed')
        say.failed('Indexing', new ApiError('job', now.error ?? 'It failed.', null));
      if (now.state === 'done') {
        const { files, skipped } = now.progress;
        const left = skipped ? `, ${count(skipped)} could not be read` : '';
        say.done(`Indexed: ${count(files)} ${files === 1 ? 'file' : 'files'}${left}`);
      }
      void this.refresh();
    });
  }

  private async refresh() {
    this.refreshed = Date.now();
    try {
      this.status = await call<Status>('/v1/status');
    } catch {
      // The next event tries again; a server that is gone is told by the search.
    }
    if (this.mayRefresh()) await search.now(true);
  }

  async loadFailures() {
    try {
      this.failures = (await call<{ failures: Failure[] }>('/v1/index')).failures;
    } catch (error) {
      say.failed('The list of failures', error);
    }
  }

  // Collections and tags

  async newCollection(title: string): Promise<string | null> {
    const plain = title
      .normalize('NFKD')
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-+|-+$/g, '')
      .slice(0, 56);
    const taken = new Set(this.collections.map((one) => one.name));
    let name = plain || 'collection';
    for (let n = 2; taken.has(name); n += 1) name = `${plain || 'collection'}-${n}`;
    try {
      await call(`/v1/collections/${name}`, { method: 'PUT', body: { title } });
      await this.loadCollections();
      return name;
    } catch (error) {
      say.failed('The collection', error);
      return null;
    }
  }

  async loadCollections() {
    this.collections = (await call<{ collections: Collection[] }>('/v1/collections')).collections;
  }

  async collect(name: string, clip: Clip) {
    const title = this.collections.find((one) => one.name === name)?.title ?? name;
    try {
      await request(`/v1/collections/${name}/clips/${encodeURIComponent(clip.id)}`, {
        method: 'PUT',
        body: {},
      });
      say.done(`Added to ${title}`);
      await this.loadCollections();
    } catch (error) {
      say.failed(`Adding to ${title}`, error);
    }
  }

  async uncollect(name: string, clip: Clip) {
    try {
      await request(`/v1/collections/${name}/clips/${encodeURIComponent(clip.id)}`, { method: 'DELETE' });
      await this.loadCollections();
      void search.now(true);
    } catch (error) {
      say.failed('Taking it out', error);
    }
  }

  async deleteCollection(name: string) {
    try {
      await request(`/v1/collections/${name}`, { method: 'DELETE' });
      if (search.filter.collection === name) {
        search.filter.collection = null;
        void search.now();
      }
      await this.loadCollections();
    } catch (error) {
      say.failed('Deleting the collection', error);
    }
  }

  async tag(clip: Clip, change: { add?: string[]; remove?: string[] }) {
    try {
      const now = await call<{ tags: string[]; own_tags?: string[] }>(
        `/v1/clips/${encodeURIComponent(clip.id)}/tags`,
        { method: 'PUT', body: change },
      );
      search.patch(clip.id, { tags: now.tags, own_tags: now.own_tags ?? [] });
      this.status = await call<Status>('/v1/status');
    } catch (error) {
      say.failed('The tags', error);
    }
  }

  async download(ids: string[], format: string, name: string) {
    const response = await request('/v1/export', { method: 'POST', body: { ids, format, name } });
    const link = document.createElement('a');
    link.href = URL.createObjectURL(await response.blob());
    link.download = `${name}.${format}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }
}

export const library = new Library();
