// A loop of requests that runs while nodes die, and an honest account of what its user would have noticed.
import { pause } from '../../../scripts/lib/wait.mjs';

// An error that a server sent, as opposed to a connection that broke.
export const is_reply_error = (error) => /^(-?[A-Z]{3,}\b)/.test(error.message) &&
  !/ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT/.test(error.message);

export class Load {
  done = 0;            // requests that succeeded, after retries or at once
  retried = 0;         // tries that failed because a connection broke
  reply_errors = [];   // errors that a node answered with: a client would show these to its user
  failed = [];         // requests that no retry could save
  #stopped = false;
  #workers = [];

  // Runs `request(n)` with n = 0, 1, 2 … in `workers` loops until stop(), or until the test `t` has ended, however it does:
  // a loop that went on would keep the test's process from ending.
  constructor(t, request, { workers = 4, give_up_ms = 8000 } = {}) {
    t.after(() => { this.#stopped = true; });
    let next = 0;
    const work = async () => {
      while (!this.#stopped) {
        const n = next++;
        await this.#with_retries(() => request(n), give_up_ms);
        await pause(0);
      }
    };
    for (let i = 0; i < workers; ++i) this.#workers.push(work());
  }

  async #with_retries(request, give_up_ms) {
    const begin = performance.now();
    const deadline = begin + give_up_ms;
    for (;;) {
      try {
        await request();
        this.done += 1;
        return;
      } catch (error) {
        if (is_reply_error(error) || error.code === 'ERR_ASSERTION') this.reply_errors.push(`after ${Math.round(performance.now() - begin)} ms, ${this.done} done: ${error.message}`);
        else this.retried += 1;
        if (performance.now() > deadline) {
          this.failed.push(error.message);
          return;
        }
        await pause(10);
      }
    }
  }

  // Resolves after `count` more requests succeeded.
  async progress(count, timeout_ms = 20_000) {
    const target = this.done + count;
    const deadline = performance.now() + timeout_ms;
    while (this.done < target) {
      if (performance.now() > deadline) {
        throw new Error(`${this.done} of ${target} requests in ${timeout_ms} ms; failed: ${this.failed.slice(0, 3)}` +
                        `; errors: ${this.reply_errors.slice(0, 3)}; broken connections: ${this.retried}`);
      }
      await pause(5);
    }
  }

  async stop() {
    this.#stopped = true;
    await Promise.all(this.#workers);
  }
}
