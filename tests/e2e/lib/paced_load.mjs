// A load that goes on while a cluster changes, and what of it must be there afterwards: for tests of changes under load.
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const percentile = (values, p) => values.sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * p))];

// The process that makes the load: paced_load_process.mjs.
export class Load {
  #child = fork(fileURLToPath(new URL('paced_load_process.mjs', import.meta.url)));
  #stopped = new Promise((resolve, reject) => {
    this.#child.on('message', (message) => resolve(message.stopped));
    this.#child.on('error', reject);
    this.#child.on('exit', (code) => reject(new Error(`the load ended with ${code}`)));
  });

  tell(message) { this.#child.send(message); }
  use(nodes) { this.tell({ nodes: nodes.map((node) => node.resp) }); }
  // What was acknowledged, tried and measured.
  async stop() {
    this.tell({ stop: true });
    const { phases, errors, hot, cold, tried } = await this.#stopped;
    return { phases, errors, hot: hot.map((members) => new Set(members)), cold: new Map(cold), tried: new Map(tried) };
  }
  kill() { this.#child.kill('SIGKILL'); }
}

// What `node` has not of all that was acknowledged, as `stop()` told it.
export async function lost_writes(node, state) {
  const connection = await node.connect({ timeout_ms: 30_000 });
  const lost = [];
  for (let k = 0; k < state.hot.length; ++k) {
    const there = new Set(await connection.command('SMEMBERS', `hot:${k}`));
    for (const value of state.hot[k]) if (!there.has(value)) lost.push(`hot:${k} ${value}`);
  }
  const keys = [...state.cold.keys()];
  for (let i = 0; i < keys.length; i += 500) {
    const some = keys.slice(i, i + 500);
    const values = await connection.pipeline(some.map((key) => ['GET', `cold:${key}`]));
    values.forEach((value, j) => {
      // A later try whose outcome is not known may have been applied.
      if (value !== state.cold.get(some[j]) && value !== state.tried.get(some[j])) lost.push(`cold:${some[j]} ${value}`);
    });
  }
  connection.close();
  return lost;
}
