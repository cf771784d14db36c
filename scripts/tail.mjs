// What one slow or dead replica does to everybody's tail: node scripts/tail.mjs [--rounds N] [--seconds S] [--rate R]
// [--clients C] [--json FILE]
//
// Three processes of one region on this machine, three copies, R = W = 2. An open loop of `cartwheel bench` (a process of
// its own, with a real-time priority where that is allowed) asks for small sessions through the RPC of the first two nodes; the
// third is the one that is stopped or killed. A client that is connected to a process that stands still waits with it, and
// no other node can help it: that is for the client's timeout, so it is not measured here.
//
// Phases of a round, each with a load of its own that is measured after a warm-up:
//   healthy, pauses (the third node gets SIGSTOP for 100 ms, once a second), healthy again, hang (SIGSTOP, for good), healthy
//   once more, killed (SIGKILL). Hang and kill happen in the second second of the measured time.
// Latency counts from the time at which a request was due, so nothing that waits is left out. Ratios are taken within one
// round, to the mean of the healthy phases before and after. Prints tables for docs/benchmarks.md.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';

import { Cluster, binary, run } from '../tests/e2e/lib/cluster.mjs';
import { pause, until } from './lib/wait.mjs';

const option = (name, fallback) => {
  const at = process.argv.indexOf(name);
  return at < 0 ? fallback : process.argv[at + 1];
};
const rounds = Number(option('--rounds', 5));
const seconds = Number(option('--seconds', 5));
const rate = Number(option('--rate', 1500));
const clients = Number(option('--clients', 16));
const json_path = option('--json', null);
// The load's turn comes before everybody else's: how long it waits for a processor is not what the servers do.
const preferred = spawnSync('chrt', ['-r', '10', 'true']).status === 0 ? ['chrt', '-r', '10', binary] : [binary];
const stop_ms = 100, every_ms = 1000, warmup_s = 1, keys = 5000;
const goal = { ratio: 2, extra_percent: 5, stall_ms: 300 };
const counters = ['shared_reads', 'hedges', 'hedges_won', 'hedges_refused', 'probes'];

// The metrics of the coordinators, which are the nodes that clients talk to.
async function coordinated(nodes) {
  const sums = Object.fromEntries(counters.map((name) => [name, 0]));
  for (const node of nodes) {
    const values = await node.metrics(counters.map((name) => `cartwheel_coordinator_${name}_total`));
    counters.forEach((name, i) => { sums[name] += values[i]; });
  }
  return sums;
}

const after_name = (path) => fs.readFileSync(path, 'utf8').replace(/^.*\) /s, '').split(' ').map(Number);
// Ticks of processor time: of the whole machine, and of this process, its ended children and the servers.
function processor(cluster) {
  const [user, nice, system, , , irq, softirq, steal] = fs.readFileSync('/proc/stat', 'utf8').split('\n')[0].trim().split(/\s+/).slice(1).map(Number);
  let own = after_name('/proc/self/stat').slice(11, 15).reduce((a, b) => a + b);
  for (const node of cluster.nodes) if (node.alive()) own += after_name(`/proc/${node.child.pid}/stat`).slice(11, 13).reduce((a, b) => a + b);
  return { all: user + nice + system + irq + softirq, own, steal };
}

// One load; `fault(running)` is called when its measured time begins and may go on until running() is false.
async function load(cluster, { prefill = false, fault = async () => {} }) {
  const targets = cluster.nodes.slice(0, 2);
  const report = `${cluster.folder}/load.json`;
  const args = ['bench', '--protocol', 'rpc', '--keyspace', 'sessions', '--mix', 'session', '--keys', String(keys),
                '--clients', String(clients), '--pipeline', '64', '--json', report,
                '--seed', String(1 + Math.floor(Math.random() * 1e9)),
                ...targets.flatMap((node) => ['--target', `${node.rpc.host}:${node.rpc.port}`]),
                ...(prefill ? ['--prefill', '--requests', '1'] : ['--rate', String(rate), '--duration', String(seconds),
                                                                  '--warmup', String(warmup_s)])];
  const before = await coordinated(targets);
  const [ticks, begin] = [processor(cluster), performance.now()];
  let over = false;
  const [program, ...prefix] = preferred;
  const ended = run(program, [...prefix, ...args], { timeout_ms: (seconds + warmup_s + 30) * 1000 });
  const broken = pause(warmup_s * 1000).then(() => fault(() => !over));
  const { code, stderr, stdout } = await ended;
  over = true;
  await broken;
  if (code !== 0 && !fs.existsSync(report)) throw new Error(`the load ended with ${code}: ${stderr}${stdout}`);
  const measured = JSON.parse(fs.readFileSync(report, 'utf8'));
  fs.rmSync(report);
  const busy = processor(cluster);
  // In percent of one core, by whoever else runs on the machine: it should be next to nothing.
  const others = Math.max(0, busy.all - ticks.all - (busy.own - ticks.own)) * 1000 / (performance.now() - begin);
  const stolen = (busy.steal - ticks.steal) * 1000 / (performance.now() - begin);
  const own = (busy.own - ticks.own) * 1000 / (performance.now() - begin);
  const after = await coordinated(targets);
  const counts = Object.fromEntries(counters.map((name) => [name, after[name] - before[name]]));
  const errors = measured.errors.concat(measured.errors_before).map(({ kind, count, example }) => ({ kind, count, example }));
  return { read: measured.read_latency_us, write: measured.write_latency_us, all: measured.latency_us,
           late: measured.send_lag_us, failed: errors.reduce((sum, { count }) => sum + count, 0), errors, counts, own, others, stolen,
           achieved: measured.achieved_share };
}

// Until all copies have all, so that a phase does not begin with what is left of another.
const settled = (cluster) => until('all replicas to have all', async () => {
  for (const node of cluster.nodes) {
    const missing = await node.metrics(['cartwheel_peer_lag_dots', 'cartwheel_peer_ahead_dots']);
    if (missing.some((dots) => dots > 0)) return false;
  }
  return true;
}, { timeout_ms: 30_000 });

// How long the stops really were is kept: this process, too, has to get its turn.
const stops = [];
async function pauses(victim, running) {
  for (let next = performance.now() + every_ms / 2; ; next += every_ms) {
    await pause(Math.max(0, next - performance.now()));
    if (!running()) return;
    const begin = performance.now();
    victim.child.kill('SIGSTOP');
    await pause(stop_ms);
    victim.child.kill('SIGCONT');
    stops.push(performance.now() - begin);
  }
}

const median = (values) => {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};
const spread = (values, digits) => `${median(values).toFixed(digits)} (${Math.min(...values).toFixed(digits)}–${Math.max(...values).toFixed(digits)})`;

async function round(cluster, number) {
  const victim = cluster.nodes[2];
  const phases = {};
  const measure = async (name, fault) => {
    await settled(cluster);
    phases[name] = await load(cluster, { fault });
    const { all, failed, late } = phases[name];
    console.error(`round ${number} ${name}: p50 ${all.p50} p99 ${all.p99} p99.9 ${all['p99.9']} max ${all.max} µs, failed ${failed}, ` +
                  `left late p99.9 ${late['p99.9']} max ${late.max} µs`);
  };
  await measure('healthy');
  await measure('pauses', (running) => pauses(victim, running));
  await measure('healthy again');
  await measure('hang', async (running) => {
    await pause(every_ms);
    if (running()) victim.child.kill('SIGSTOP');
  });
  victim.child.kill('SIGCONT');
  await measure('healthy once more');
  await measure('killed', async (running) => {
    await pause(every_ms);
    if (running()) await victim.kill();
  });
  await victim.start();
  return phases;
}

const cluster = await Cluster.create();
const results = [];
try {
  for (const node of cluster.nodes) node.spawn();
  await Promise.all(cluster.nodes.map((node) => node.ready()));
  await load(cluster, { prefill: true });
  for (let i = 0; i < rounds; ++i) results.push(await round(cluster, i + 1));
} finally {
  for (const node of cluster.nodes) if (node.alive()) node.child.kill('SIGCONT');
  await cluster.stop();
}

const ms = (us) => us / 1000;
const extra = ({ counts }) => 100 * (counts.hedges + counts.probes) / Math.max(1, counts.shared_reads);
const faults = ['pauses', 'hang', 'killed'];
const neighbours = { pauses: ['healthy', 'healthy again'], hang: ['healthy again', 'healthy once more'],
                     killed: ['healthy once more'] };
const over = (name, kind, percentile) => results.map((phases) => {
  const healthy = neighbours[name].map((other) => phases[other][kind][percentile]);
  return phases[name][kind][percentile] / (healthy.reduce((a, b) => a + b) / healthy.length);
});
const verdict = (met) => (met ? 'met' : '**missed**');

console.log(`${rounds} rounds; each phase ${seconds} s at ${rate} requests a second from ${clients} connections; stops of ` +
            `${spread(stops, 0)} ms; ${os.cpus()[0].model}, ${os.cpus().length} cores; ` +
            `stolen by other machines: ${median(results.flatMap((phases) => Object.values(phases).map(({ stolen }) => stolen))).toFixed(1)} % of a core.\n`);
console.log('| phase | | p50, ms | p99, ms | p99.9, ms | longest, ms | failed | extra requests, % of reads | refused | generator late by, p99.9, ms | processor, % of a core | of others |');
console.log('|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|');
for (const name of Object.keys(results[0])) {
  for (const kind of ['read', 'write']) {
    const each = results.map((phases) => phases[name]);
    const latency = (percentile) => median(each.map((phase) => ms(phase[kind][percentile]))).toFixed(2);
    const of_phase = kind === 'read'
      ? [each.reduce((sum, phase) => sum + phase.failed, 0), spread(each.map(extra), 2),
         each.reduce((sum, phase) => sum + phase.counts.hedges_refused, 0), median(each.map((phase) => ms(phase.late['p99.9']))).toFixed(2),
         median(each.map(({ own }) => own)).toFixed(0), median(each.map(({ others }) => others)).toFixed(0)]
      : ['', '', '', '', '', ''];
    console.log(`| ${[kind === 'read' ? name : '', `${kind}s`, latency('p50'), latency('p99'), latency('p99.9'),
                      Math.max(...each.map((phase) => ms(phase[kind].max))).toFixed(1), ...of_phase].join(' | ')} |`);
  }
}
console.log('\n| one of three replicas | figure | reads | writes | all | goal | |');
console.log('|---|---|---:|---:|---:|---|---|');
const ratio_row = (name, percentile) => {
  const all = over(name, 'all', percentile);
  return [percentile + ' / healthy', spread(over(name, 'read', percentile), 2), spread(over(name, 'write', percentile), 2), spread(all, 2), all];
};
for (const percentile of ['p99', 'p99.9']) {
  const [figure, read, write, all, values] = ratio_row('pauses', percentile);
  const judged = percentile === 'p99.9' ? [`≤ ${goal.ratio}`, verdict(median(values) <= goal.ratio)] : ['', ''];
  console.log(`| stopped for 100 ms each second | ${[figure, read, write, all, ...judged].join(' | ')} |`);
}
const again = results.map((phases) => phases['healthy again'].all['p99.9'] / phases.healthy.all['p99.9']);
console.log(`| healthy again / healthy: what the machine does by itself | p99.9 | | | ${spread(again, 2)} | | |`);
const extras = results.map((phases) => extra(phases.pauses));
console.log(`| stopped for 100 ms each second | extra requests, % | ${spread(extras, 2)} | | | ≤ ${goal.extra_percent} | ${verdict(median(extras) <= goal.extra_percent)} |`);
for (const name of ['hang', 'killed']) {
  const longest = (kind) => Math.max(...results.map((phases) => ms(phases[name][kind].max)));
  const failed = results.reduce((sum, phases) => sum + phases[name].failed, 0);
  console.log(`| ${name} | longest wait, ms | ${longest('read').toFixed(1)} | ${longest('write').toFixed(1)} | ${longest('all').toFixed(1)} | ≤ ${goal.stall_ms} | ${verdict(longest('all') <= goal.stall_ms)} |`);
  console.log(`| ${name} | failed requests | | | ${failed} | 0 | ${verdict(failed === 0)} |`);
}
const kinds = new Map();
for (const phases of results) for (const [name, { errors }] of Object.entries(phases)) for (const { kind, count, example } of errors) {
  const key = `${name}: ${kind} (${example})`;
  kinds.set(key, (kinds.get(key) ?? 0) + count);
}
for (const [text, count] of kinds) console.log(`\nfailed ${count} × ${text}`);
if (json_path) fs.writeFileSync(json_path, JSON.stringify({ rounds, seconds, rate, clients, stops, results }, null, 2) + '\n');
