// The server's API as this page uses it: shapes, one way to call, and errors that say what would help.

export interface Moment {
  /** Seconds from the start of the file. */
  start: number;
  end: number;
  /** Cosine of this part with what was asked. */
  score: number;
}

export interface Clip {
  id: string;
  path: string;
  name: string;
  folder: string;
  /** Seconds; null where the file could not be measured. */
  duration: number | null;
  format: string | null;
  codec: string | null;
  sample_rate: number | null;
  channels: number | null;
  bytes: number;
  modified: string;
  title: string | null;
  artist: string | null;
  description: string | null;
  license: string | null;
  tags: string[];
  /** Those of `tags` that people gave here: only these can be taken away. */
  own_tags?: string[];
  available: boolean;
}

export type Label = 'strong' | 'likely' | 'weak';

export interface Hit extends Clip {
  score: number | null;
  relevance: { score: number | null; label: Label } | null;
  spans: Moment[];
  heat?: Moment[];
  group?: { key: string | null; more: number };
}

export interface Answer {
  count: number;
  /** The next offset, or null at the end. */
  next: number | null;
  /** Sounds that passed the filter. */
  searched?: number;
  results: Hit[];
  skipped: { path: string; reason: string }[];
  notes: string[];
  timing: { embed_ms: number; search_ms: number; rerank_ms: number; total_ms: number };
}

export interface Status {
  version: string;
  writable: boolean;
  model: { id: string };
  index: {
    path: string;
    files: number;
    failed: number;
    bytes: number;
    roots: { path: string; files: number; present: boolean }[];
    formats: string[];
    tags: { tag: string; count: number }[];
  };
  jobs: { id: string; state: JobState }[];
  limits: { body_bytes: number };
}

export type JobState = 'queued' | 'running' | 'done' | 'failed' | 'cancelled';

export interface Job {
  id: string;
  state: JobState;
  paths: string[];
  progress: {
    files_done: number;
    files: number;
    skipped: number;
    seconds_done: number;
    seconds: number | null;
    seconds_left_wall: number | null;
    current: string;
    /** Seconds of sound per second. */
    speed: number | null;
  };
  skipped: { path: string; reason: string }[];
  error: string | null;
}

export interface Collection {
  name: string;
  title: string;
  count: number;
}

export class ApiError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly help: string | null,
  ) {
    super(message);
  }
}

interface Options {
  method?: 'GET' | 'POST' | 'PUT' | 'DELETE';
  body?: unknown;
  signal?: AbortSignal | undefined;
}

const REMEDIES: Record<string, string> = {
  offline: 'Check that `aurola serve` is still running; this page tries again by itself.',
  overloaded: 'The server has more questions than it can answer at once; try again in a second.',
  unprocessable: 'The sound may be damaged or of a format that is not read: WAV, FLAC, MP3, OGG and M4A are.',
  too_large: 'Use a shorter piece of the sound.',
  forbidden: 'This key may only read. Sign in with one that may write.',
};

/** Fetches, and throws an `ApiError` for anything but success. An aborted call throws what `fetch` throws. */
export async function request(
  path: string,
  { method = 'GET', body, signal }: Options = {},
): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      signal: signal ?? null,
      ...(body === undefined
        ? {}
        : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError('offline', 'The server does not answer.', REMEDIES['offline'] ?? null);
  }
  if (response.ok) return response;
  if (response.status === 401) gate.closed();
  let fault: { code?: string; message?: string; help?: string } = {};
  try {
    fault = ((await response.json()) as { error?: typeof fault }).error ?? {};
  } catch {
    // Not our server's form, a proxy's perhaps: the status says what there is to say.
  }
  const code = fault.code ?? String(response.status);
  const message = fault.message ?? `The server answered ${response.status} ${response.statusText}`;
  throw new ApiError(code, message, fault.help ?? REMEDIES[code] ?? null);
}

export async function call<T>(path: string, options?: Options): Promise<T> {
  const response = await request(path, options);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

/** Told when the server wants a key. */
export const gate = { closed: () => {} };

export const audioUrl = (id: string) => `/audio/${encodeURIComponent(id)}`;

export function asApiError(error: unknown): ApiError {
  return error instanceof ApiError
    ? error
    : new ApiError('page', error instanceof Error ? error.message : String(error), null);
}
