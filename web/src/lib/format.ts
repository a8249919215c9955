/** `75` s is `1:15`; below ten seconds tenths matter, for one-shots. */
export function length(seconds: number | null): string {
  if (seconds === null || !Number.isFinite(seconds)) return '–';
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  return clock(seconds);
}

export function clock(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  const [h, m, rest] = [Math.floor(s / 3600), Math.floor(s / 60) % 60, s % 60];
  const two = (n: number) => String(n).padStart(2, '0');
  return h > 0 ? `${h}:${two(m)}:${two(rest)}` : `${m}:${two(rest)}`;
}

/** Words for how long something takes: `about 31 min`. */
export function spell(seconds: number): string {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

export const count = (n: number) => n.toLocaleString('en');

export function size(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let unit = 0;
  while (bytes >= 1000 && unit < units.length - 1) {
    bytes /= 1000;
    unit += 1;
  }
  return `${bytes < 10 && unit > 0 ? bytes.toFixed(1) : Math.round(bytes)} ${units[unit]}`;
}

export const rate = (hertz: number | null) => (hertz === null ? '' : `${+(hertz / 1000).toFixed(1)} kHz`);

export function channels(n: number | null): string {
  if (n === null) return '';
  return n === 1 ? 'mono' : n === 2 ? 'stereo' : `${n} channels`;
}

/** The last two folders: enough to know a pack by, short enough for a row. */
export function place(folder: string): string {
  const parts = folder.split(/[\\/]/).filter(Boolean);
  return parts.length <= 2 ? folder : `…/${parts.slice(-2).join('/')}`;
}
