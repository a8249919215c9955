// What a person chose, remembered by their browser.

function read<T>(key: string, initial: T): T {
  try {
    const text = localStorage.getItem(`aurola.${key}`);
    return text === null ? initial : (JSON.parse(text) as T);
  } catch {
    // Storage that is off or holds nonsense: the page works without.
    return initial;
  }
}

export type Theme = 'auto' | 'light' | 'dark';

class Settings {
  theme = $state<Theme>(read('theme', 'auto'));
  picture = $state<'waveform' | 'spectrogram'>(read('picture', 'waveform'));
  hover = $state<boolean>(read('hover', true));
  volume = $state<number>(read('volume', 1));
  panel = $state<boolean>(read('panel', true));
  collection = $state<string | null>(read('collection', null));
  /** Goes up when colours change, for what is drawn by hand. */
  painted = $state(0);

  constructor() {
    $effect.root(() => {
      $effect(() => {
        const all = {
          theme: this.theme,
          picture: this.picture,
          hover: this.hover,
          volume: this.volume,
          panel: this.panel,
          collection: this.collection,
        };
        for (const [key, value] of Object.entries(all)) {
          try {
            localStorage.setItem(`aurola.${key}`, JSON.stringify(value));
          } catch {
            return;
          }
        }
      });
      $effect(() => {
        document.documentElement.dataset['theme'] = this.theme;
        this.repaint();
      });
    });
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.repaint());
  }

  private repaint() {
    requestAnimationFrame(() => (this.painted += 1));
  }

  nextTheme() {
    const dark = matchMedia('(prefers-color-scheme: dark)').matches;
    const order: Theme[] = dark ? ['auto', 'light', 'dark'] : ['auto', 'dark', 'light'];
    this.theme = order[(order.indexOf(this.theme) + 1) % order.length] ?? 'auto';
  }
}

export const settings = new Settings();
