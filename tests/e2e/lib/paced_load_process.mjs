// The load of paced_load.mjs, a process of its own: where nodes are started and commands are run, fork() and the copies
// of pages that follow it stop a process's requests for up to 100 ms. It is also preferred to the servers (where it may be),
// so that what it measures is how long they take and not how long its own turn was.
//
// Messages to it: {nodes: [{host, port}]}: where new connections go; {phase}: the name under which latencies are kept
// from now on; {stop: true}. It answers {stopped} after the last, and ends.
import os from 'node:os';
import process from 'node:process';

import { RespConnection } from '../../../scripts/lib/resp.mjs';
import { pause } from '../../../scripts/lib/wait.mjs';

const kHot = 10;
const kClients = 40, kCold = 10_000, kPauseMs = 25;

const state = { nodes: [], stopped: false, latencies: [], errors: [], phases: {}, cold: new Map(), tried: new Map(),
                hot: Array.from({ length: kHot }, () => new Set()) };

// Writes of one client until `state.stopped`. A hot key is a set to which everybody adds; a cold key belongs to one client.
async function client(number) {
  let connection = null;
  let next = number;
  for (let n = 0; !state.stopped; ++n) {
    const hot = n % 4 === 0;
    const cold = number + kClients * (Math.floor(Math.random() * kCold / kClients));
    const value = `${number}:${n}`;
    const begin = performance.now();
    for (;;) {
      try {
        if (!connection || connection.closed) {
          connection = await RespConnection.connect(state.nodes[next++ % state.nodes.length], { timeout_ms: 5000 });
        }
        if (hot) {
          await connection.command('SADD', `hot:${n % kHot}`, value);
          state.hot[n % kHot].add(value);
        } else {
          state.tried.set(cold, value);
          await connection.command('SET', `cold:${cold}`, value);
          state.cold.set(cold, value);
        }
        break;
      } catch (error) {
        connection?.close();
        connection = null;
        state.errors.push(error.message);
        if (state.stopped) return;
        await pause(20);
      }
    }
    state.latencies.push(performance.now() - begin);
    await pause(kPauseMs * (0.5 + Math.random()));
  }
  connection?.close();
}

async function stop() {
  state.stopped = true;
  await Promise.all(clients);
  const { phases, errors } = state;
  process.send({ stopped: { phases, errors, hot: state.hot.map((set) => [...set]), cold: [...state.cold], tried: [...state.tried] } },
               () => process.disconnect());
}

let clients = null;
if (process.send) {
  try {
    os.setPriority(-10);
  } catch { /* not allowed: what is measured includes waiting for the processor */ }
  process.on('message', (message) => {
    if (message.nodes) state.nodes = message.nodes;
    if (message.phase) state.phases[message.phase] = state.latencies = [];
    if (message.stop) stop();
    clients ??= Array.from({ length: kClients }, (_, i) => client(i));
  });
}
