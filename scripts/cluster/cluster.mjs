// The cluster of `./dev up`: two regions of three nodes on loopback, and the link between the regions.
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { http_get, until } from '../lib/wait.mjs';

export const root = path.resolve(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), '../..');
export const binary = path.join(root, 'build/release/cartwheel');
export const dir = path.join(root, process.env.CARTWHEEL_UP_OFFSET ? 'build/up-beside' : 'build/up');
// Added to all ports, for a second cluster beside one that runs.
const offset = Number(process.env.CARTWHEEL_UP_OFFSET ?? 0);
export const link_control = 7200 + offset;
export const nodes = ['eu-1', 'eu-2', 'eu-3', 'us-1', 'us-2', 'us-3'].map((name, i) => ({
  name, region: name.slice(0, 2), zone: 'abc'[i % 3], rpc: 7101 + i + offset, resp: 6401 + i + offset, http: 8101 + i + offset, proxy: 7201 + i + offset,
}));
export const node = (name) => nodes.find((n) => n.name === name);

// What the nodes of `region` see: their own region directly, the other one through the link. 'all' is the operator's
// view, without the link.
function cluster_file(region) {
  const entries = nodes.map((n) => `[[node]]
name = "${n.name}"
region = "${n.region}"
zone = "${n.zone}"
rpc  = "127.0.0.1:${region === 'all' || n.region === region ? n.rpc : n.proxy}"
resp = "127.0.0.1:${n.resp}"
http = "127.0.0.1:${n.http}"
`);
  return `cluster = "shop"
partitions = 64

${entries.join('\n')}
[[keyspace]]
name = "carts"
select = 0
kind = "eventual"
replicas = { eu = 3, us = 3 }
read = "local_quorum"
write = "local_quorum"

[[keyspace]]
name = "sessions"
select = 1
kind = "eventual"
replicas = { eu = 3, us = 3 }
read = "local_quorum"
write = "local_quorum"
`;
}

export const file_of = (region) => path.join(dir, `shop-${region}.toml`);
const pid_file = (name) => path.join(dir, `${name}.pid`);

function start_process(name, command, args) {
  const log = fs.openSync(path.join(dir, `${name}.log`), 'a');
  const child = spawn(command, args, { detached: true, stdio: ['ignore', log, log] });
  fs.writeFileSync(pid_file(name), String(child.pid));
  child.unref();
}

export function start_node(name) {
  const { region } = node(name);
  start_process(name, binary, ['serve', '--cluster-file', file_of(region), '--node', name, '--data-dir', path.join(dir, name)]);
}

export function pid_of(name) {
  try {
    const pid = Number(fs.readFileSync(pid_file(name), 'utf8'));
    process.kill(pid, 0);
    return pid;
  } catch {
    return null;
  }
}

export const running = () => [...nodes.map((n) => n.name), 'link'].filter((name) => pid_of(name) !== null);

export const ready = (name) =>
  until(`${name} to be ready`, async () => (await http_get({ host: '127.0.0.1', port: node(name).http }, '/readyz')).status === 200,
        { timeout_ms: 30_000, every_ms: 100 });

async function refuse_taken_ports() {
  const ports = [link_control, ...nodes.flatMap((n) => [n.rpc, n.resp, n.http, n.proxy])];
  for (const port of ports) {
    await new Promise((resolve, reject) => {
      const probe = net.createServer();
      probe.once('error', () => reject(new Error(`port ${port} on 127.0.0.1 is taken; ./dev up needs 6401-6406, 7101-7106, 7200-7206 and 8101-8106, or CARTWHEEL_UP_OFFSET to add to them`)));
      probe.listen(port, '127.0.0.1', () => probe.close(resolve));
    });
  }
}

export async function up() {
  await refuse_taken_ports();
  fs.rmSync(dir, { recursive: true, force: true });
  fs.mkdirSync(dir, { recursive: true });
  for (const region of ['eu', 'us', 'all']) fs.writeFileSync(file_of(region), cluster_file(region));
  start_process('link', process.execPath, [path.join(root, 'scripts/cluster/link.mjs'), String(link_control),
                                           ...nodes.map((n) => `${n.proxy}:${n.rpc}`)]);
  for (const n of nodes) start_node(n.name);
  for (const n of nodes) await ready(n.name);
}

export async function stop(name, signal = 'SIGTERM') {
  const pid = pid_of(name);
  if (pid === null) return;
  process.kill(pid, signal);
  await until(`${name} to stop`, () => pid_of(name) === null, { timeout_ms: 15_000 });
  fs.rmSync(pid_file(name), { force: true });
}

export async function down() {
  await Promise.all(running().map((name) => stop(name)));
}

export async function link(action) {
  await fetch(`http://127.0.0.1:${link_control}/${action}`, { method: 'POST', headers: { connection: 'close' } });
}

export function status(...args) {
  return spawnSync(binary, ['status', '--cluster-file', file_of('all'), ...args], { encoding: 'utf8' });
}
