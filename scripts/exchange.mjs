// How long a tree exchange takes between processes: node scripts/exchange.mjs [--keys N] [--lost N] [--rounds N] [--json FILE]
//
// Two processes on this machine, two copies of each key. One of them is stopped and loses rows behind its back
// (tests/node/lose_rows.cc); once it is up again and its trees are built, with repairs paused until then, `cartwheel repair --now` is
// run. The time counts from that command's start until the last lost key is back, so it holds the command's own start. Once over
// loopback, and once with a link that delays each direction by 10 ms. Prints a table for docs/benchmarks.md.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';

import { Cluster, binary, free_port, repository, run } from '../tests/e2e/lib/cluster.mjs';
import { until } from './lib/wait.mjs';

const option = (name, fallback) => {
  const at = process.argv.indexOf(name);
  return at < 0 ? fallback : process.argv[at + 1];
};
const keys = Number(option('--keys', 1_000_000));
const lost = Number(option('--lost', 100));
const rounds = Number(option('--rounds', 3));
const json_path = option('--json', null);
const stripes = 2, goal = { seconds: 2, bytes: 1500 };
const lose_rows = path.join(repository, 'build/release/tests/node/lose_rows');

// Passes bytes on in both directions, each `delay_ms` later.
async function slow_link(target, delay_ms) {
  const taken = new Set();
  const port = await free_port(['127.0.0.1'], taken);
  const sockets = new Set();
  const server = net.createServer((near) => {
    const far = net.connect(target.port, target.host);
    for (const [from, to] of [[near, far], [far, near]]) {
      sockets.add(from);
      from.setNoDelay(true);
      from.on('error', () => {});
      from.on('data', (bytes) => setTimeout(() => { if (!to.destroyed) to.write(bytes); }, delay_ms));
      from.on('close', () => { sockets.delete(from); to.destroy(); });
    }
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  return { address: `127.0.0.1:${port}`, close: () => { server.close(); for (const socket of sockets) socket.destroy(); } };
}

// Each node reaches the other one through a link of its own.
async function delay_links(cluster, delay_ms) {
  const links = [];
  for (const node of cluster.nodes) {
    const other = cluster.nodes.find((n) => n !== node);
    const link = await slow_link(other.rpc, delay_ms);
    links.push(link);
    const file = path.join(cluster.folder, `${node.name}.toml`);
    fs.writeFileSync(file, fs.readFileSync(cluster.file, 'utf8').replaceAll(`${other.rpc.host}:${other.rpc.port}`, link.address));
    const usual = node.arguments.bind(node);
    node.arguments = () => usual().map((argument) => (argument === cluster.file ? file : argument));
  }
  return links;
}

const at = (node) => ['--at', `${node.rpc.host}:${node.rpc.port}`];
async function cartwheel(args) {
  const { code, stdout, stderr } = await run(binary, args, { timeout_ms: 600_000 });
  if (code !== 0) throw new Error(`cartwheel ${args.join(' ')} ended with ${code}: ${stderr}${stdout}`);
  return stdout;
}

async function sums(cluster, names) {
  const each = await Promise.all(cluster.nodes.map((node) => node.metrics(names)));
  return names.map((_, i) => each.reduce((sum, values) => sum + values[i], 0));
}

async function round(cluster) {
  const [asks, loses] = cluster.nodes;
  await loses.terminate();
  const directories = Array.from({ length: stripes }, (_, i) => path.join(loses.data_dir, `stripe-${i}`));
  const took = spawnSync(lose_rows, [String(lost), String(1 + Math.floor(Math.random() * 1e9)), ...directories], { encoding: 'utf8' });
  if (took.status !== 0) throw new Error(`lose_rows: ${took.stderr}`);
  const gone = JSON.parse(took.stdout);
  await cartwheel(['repair', '--pause', ...at(asks)]).catch(() => {});  // says that the other one could not be asked
  await loses.start();
  await until('all trees to be built', async () => JSON.parse(await cartwheel(['repair', '--json', ...at(asks)])).trees_to_build === 0,
              { timeout_ms: 600_000, every_ms: 500 });
  const [bytes, repaired] = await sums(cluster, ['cartwheel_repair_tree_bytes_total', 'cartwheel_repair_tree_keys_total']);
  await cartwheel(['repair', '--resume', ...at(asks)]);
  const begin = performance.now();
  const command = cartwheel(['repair', '--now', '--json', ...at(asks)]).then((text) => [JSON.parse(text), performance.now() - begin]);
  await until('all that was lost to be back', async () => {
    const [now] = await sums(cluster, ['cartwheel_repair_tree_keys_total']);
    return now - repaired >= lost;
  }, { timeout_ms: 600_000, every_ms: 10 });
  const seconds = (performance.now() - begin) / 1000;
  const [report, command_ms] = await command;
  if (!report.done) throw new Error(`not done: ${JSON.stringify(report)}`);
  const [after] = await sums(cluster, ['cartwheel_repair_tree_bytes_total']);
  return { seconds, command_seconds: command_ms / 1000, bytes: (after - bytes - gone.bytes) / lost };
}

async function measure(delay_ms) {
  const cluster = await Cluster.create({ regions: ['eu', 'eu'], stripes });
  let links = [];
  try {
    if (delay_ms > 0) links = await delay_links(cluster, delay_ms);
    for (const node of cluster.nodes) node.spawn();
    await Promise.all(cluster.nodes.map((node) => node.ready()));
    const { resp } = cluster.nodes[0];
    await cartwheel(['bench', '--target', `${resp.host}:${resp.port}`, '--mix', 'set', '--keys', String(keys), '--value-size', '100',
                     '--clients', '16', '--pipeline', '32', '--prefill', '--requests', '1']);
    await until('both copies to have all', async () => (await sums(cluster, ['cartwheel_peer_lag_dots', 'cartwheel_peer_ahead_dots'])).every((dots) => dots === 0),
                { timeout_ms: 120_000 });
    const results = [];
    for (let i = 0; i < rounds; ++i) {
      results.push(await round(cluster));
      console.error(`${2 * delay_ms} ms, round ${i + 1}: ${JSON.stringify(results.at(-1))}`);
    }
    return results;
  } finally {
    for (const link of links) link.close();
    await cluster.stop();
  }
}

const all = { 0: await measure(0), 20: await measure(10) };
const span = (values, digits) => `${Math.min(...values).toFixed(digits)}–${Math.max(...values).toFixed(digits)}`;
const verdict = (met) => (met ? 'met' : '**missed**');
console.log(`${keys} keys of 100 bytes per replica, ${lost} lost, 64 partitions, ${rounds} rounds each; ${os.cpus()[0].model}, ${os.cpus().length} cores.\n`);
console.log('| round trip | until all is back, s | goal | | `repair --now` took, s | bytes per difference | goal | |');
console.log('|---|---:|---:|---|---:|---:|---:|---|');
for (const [rtt, results] of Object.entries(all)) {
  const seconds = results.map((r) => r.seconds), bytes = results.map((r) => r.bytes);
  console.log(`| ${rtt === '0' ? 'loopback' : `${rtt} ms`} | ${span(seconds, 2)} | ≤ ${goal.seconds} | ${verdict(Math.max(...seconds) <= goal.seconds)} | ` +
              `${span(results.map((r) => r.command_seconds), 2)} | ${span(bytes, 0)} | ≤ ${goal.bytes} | ${verdict(Math.max(...bytes) <= goal.bytes)} |`);
}
if (json_path) fs.writeFileSync(json_path, JSON.stringify({ keys, lost, rounds, all }, null, 2) + '\n');
