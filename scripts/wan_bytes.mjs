// How many bytes an edit of a cart sends between two regions: node scripts/wan_bytes.mjs [--seconds N]
//
// Two regions of three nodes on this machine, carts of 20 lines in both. For each kind of compression: nothing happens
// for N seconds, then clients in both regions edit one line at a time for N seconds, at several rates. Counted are the
// bytes that the nodes gave to their connections to the other region (cartwheel_region_sent_bytes_total), in both
// directions, until the other side has every edit. Compared with shipping the cart's whole state, encoded as
// docs/formats.md says, to the three replicas of the other region. Prints a table for docs/benchmarks.md.
import zlib from 'node:zlib';

import { Cluster } from '../tests/e2e/lib/cluster.mjs';
import { pause, until } from './lib/wait.mjs';

const option = (name, fallback) => {
  const at = process.argv.indexOf(name);
  return at < 0 ? fallback : Number(process.argv[at + 1]);
};
const seconds = option('--seconds', 10);
const carts = 500;
const lines = 20;
const remote_replicas = 3;
const nouns = ['Apples', 'Running shoes', 'Desk lamp', 'Espresso beans', 'Rain jacket', 'Notebook', 'Headphones'];

const below = (n) => Math.floor(Math.random() * n);
const sku_of = (cart, line) => `SKU-${100_000 + (cart * 7919 + line * 104_729) % 900_000}`;
function value_of(cart, line, quantity) {
  const title = `${nouns[(cart + line) % nouns.length]}, model ${(cart * 31 + line * 17) % 1000}`;
  return JSON.stringify({ title, quantity, price_cents: 99 + (cart * 13 + line * 577) % 20_000, currency: 'EUR',
                          added_at: new Date(1_790_000_000_000 + cart * 60_000 + line).toISOString() });
}
const edit = () => {
  const [cart, line] = [below(carts), below(lines)];
  return ['HSET', `cart:${cart}`, sku_of(cart, line), value_of(cart, line, 1 + below(9))];
};

// The object of docs/formats.md, each line written once: the state without any causal context of its partition.
function state_of(cart) {
  const bytes = (text) => Buffer.concat([Buffer.from(text.length < 128 ? [text.length] : [text.length & 127 | 128, text.length >> 7]),
                                         Buffer.from(text)]);
  const parts = [bytes(`cart:${cart}`), Buffer.from([lines])];
  for (let line = 0; line < lines; ++line) {
    const path = Buffer.concat([Buffer.from([6]), bytes(sku_of(cart, line)), Buffer.from([2])]);
    const dot_and_time = Buffer.alloc(12 + 2 + 9);  // actor, seq, hybrid time
    parts.push(bytes(path.toString('latin1')), Buffer.from([1]), dot_and_time, bytes(value_of(cart, line, 3)),
               Buffer.from([0, 0]));
  }
  return Buffer.concat(parts);
}

async function sent(cluster) {
  const sum = [0, 0, 0];
  for (const node of cluster.nodes) {
    const names = ['message_bytes', 'sent_bytes', 'batches'].map((name) => `cartwheel_region_${name}_total`);
    (await node.metrics(names)).forEach((value, i) => { sum[i] += value; });
  }
  return sum;
}

const settled = (cluster) => until('all replicas to have all', async () => {
  for (const node of cluster.nodes) {
    if ((await node.metrics(['cartwheel_peer_lag_dots', 'cartwheel_peer_ahead_dots'])).some((dots) => dots > 0)) return false;
  }
  return true;
}, { timeout_ms: 60_000 });

// Sends pipelines of `depth` commands from one connection per node, `rate` a second in all (0: as fast as they go).
async function load(cluster, commands_for, rate, depth) {
  let done = 0;
  const end = performance.now() + seconds * 1000;
  await Promise.all(cluster.nodes.map(async (node) => {
    const connection = await node.connect({ timeout_ms: 20_000 });
    let next = performance.now() + Math.random() * 1000;
    while (performance.now() < end) {
      if (rate > 0) {
        next += 1000 * depth * cluster.nodes.length / rate;
        await pause(Math.max(0, next - performance.now()));
      }
      await connection.pipeline(Array.from({ length: depth }, commands_for));
      done += depth;
    }
    connection.close();
  }));
  return done;
}

async function difference(cluster, action) {
  const before = await sent(cluster);
  const begin = performance.now();
  const edits = await action();
  await settled(cluster);
  const after = await sent(cluster);
  return { edits, seconds: (performance.now() - begin) / 1000, bytes: after.map((value, i) => value - before[i]) };
}

const states = Array.from({ length: carts }, (_, cart) => state_of(cart));
const mean = (buffers) => buffers.reduce((sum, buffer) => sum + buffer.length, 0) / buffers.length;
const shipped = mean(states) * remote_replicas;
const shipped_small = mean(states.map((state) => zlib.deflateSync(state, { level: 6 }))) * remote_replicas;
const count = (n) => Math.round(n).toLocaleString('en-US');
console.log(`A cart's state: ${count(mean(states))} bytes, shipped to ${remote_replicas} replicas ${count(shipped)}; ` +
            `each compressed by itself (deflate) ${count(shipped_small)}.\n`);
console.log('| compression | edits/s | idle B/s | B per edit, with idle | without idle | messages before compression | edits per batch | fewer than the state, with idle | without idle | than the compressed state, without idle |');
console.log('|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|');
for (const compression of ['zstd', 'none']) {
  const cluster = await Cluster.create({ regions: ['eu', 'eu', 'eu', 'us', 'us', 'us'] });
  try {
    for (const node of cluster.nodes) {
      node.more_arguments = ['--wan-compression', compression];
      node.spawn();
    }
    await Promise.all(cluster.nodes.map((node) => node.ready()));
    const filling = await cluster.nodes[0].connect({ timeout_ms: 20_000 });
    for (let cart = 0; cart < carts; ++cart) {
      await filling.pipeline(Array.from({ length: lines }, (_, line) =>
        ['HSET', `cart:${cart}`, sku_of(cart, line), value_of(cart, line, 1)]));
    }
    filling.close();
    await settled(cluster);
    const idle = await difference(cluster, () => pause(seconds * 1000));
    const idle_rate = idle.bytes[1] / idle.seconds;
    for (const [rate, depth] of [[50, 1], [500, 1], [0, 16]]) {
      const run = await difference(cluster, () => load(cluster, edit, rate, depth));
      const all = run.bytes[1] / run.edits;
      const net = (run.bytes[1] - idle_rate * run.seconds) / run.edits;
      console.log(`| ${[compression, count(run.edits / seconds), count(idle_rate), count(all), count(net),
                        count(run.bytes[0] / run.edits), (run.edits / run.bytes[2]).toFixed(1), (shipped / all).toFixed(1),
                        (shipped / net).toFixed(1), (shipped_small / net).toFixed(1)].join(' | ')} |`);
    }
  } finally {
    await cluster.stop();
  }
}
