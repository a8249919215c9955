// Short messages: shown for a while, and spoken by screen readers.

import { asApiError } from './api';

export interface Said {
  id: number;
  text: string;
  help: string | null;
  bad: boolean;
}

class Say {
  list = $state<Said[]>([]);
  private count = 0;

  done(text: string) {
    this.add(text, null, false);
  }

  failed(what: string, error: unknown) {
    if (error instanceof DOMException && error.name === 'AbortError') return;
    const { message, help } = asApiError(error);
    this.add(`${what}: ${message}`, help, true);
  }

  drop(id: number) {
    this.list = this.list.filter((one) => one.id !== id);
  }

  private add(text: string, help: string | null, bad: boolean) {
    const id = ++this.count;
    this.list = [...this.list.slice(-2), { id, text, help, bad }];
    setTimeout(() => this.drop(id), bad ? 12_000 : 4_000);
  }
}

export const say = new Say();
