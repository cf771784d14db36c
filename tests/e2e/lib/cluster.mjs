// A cluster of real processes for one test: free ports, data in a temporary folder, everything gone at the end.
//
// All nodes share their three port numbers and differ by host (127.0.0.1, .2, .3, …), as the pods behind one name of a
// headless service do, so that clients which know one host and one port can be pointed at all of them.
//
// CARTWHEEL_BINARY names the server under test, by default build/release/cartwheel.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { RespConnection, ask } from '../../../scripts/lib/resp.mjs';
import { http_get, until } from '../../../scripts/lib/wait.mjs';

export const repository = fileURLToPath(new URL('../../..', import.meta.url));
export const binary = process.env.CARTWHEEL_BINARY ?? path.join(repository, 'build/release/cartwheel');

function can_bind(host, port) {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', () => resolve(false));
    server.listen({ host, port }, () => server.close(() => resolve(true)));
  });
}

// A port below the range of outgoing connections that is free on every host.
export async function free_port(hosts, taken) {
  for (let tries = 0; tries < 200; ++tries) {
    const port = 10_000 + Math.floor(Math.random() * 22_000);
    if (taken.has(port)) continue;
    const free = await Promise.all(hosts.map((host) => can_bind(host, port)));
    if (!free.every(Boolean)) continue;
    taken.add(port);
    return port;
  }
  throw new Error('no free port');
}

// Every process of a test ends with it, whatever happens.
const running = new Set();
process.on('exit', () => { for (const child of running) child.kill('SIGKILL'); });

// Runs a program to its end: {code, signal, stdout, stderr}. Killed after `timeout_ms`.
export function run(program, args, { timeout_ms = 60_000, input = '', env = process.env } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], env });
    running.add(child);
    const timer = setTimeout(() => child.kill('SIGKILL'), timeout_ms);
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (bytes) => { stdout += bytes; });
    child.stderr.on('data', (bytes) => { stderr += bytes; });
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    child.once('error', reject);
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      running.delete(child);
      resolve({ code, signal, stdout, stderr });
    });
  });
}

export class Node {
  constructor(cluster, spec) {
    Object.assign(this, spec);
    this.cluster = cluster;
    this.data_dir = path.join(cluster.folder, spec.name);
    this.log_path = path.join(cluster.folder, `${spec.name}.log`);
    this.child = null;
    this.more_arguments = [];
  }

  arguments() {
    return ['serve', '--cluster-file', this.cluster.file, '--node', this.name, '--data-dir', this.data_dir,
            '--cache-mb', '16', ...this.more_arguments];
  }

  // Starts the process without waiting for it to be ready.
  spawn() {
    const log = fs.openSync(this.log_path, 'a');
    const child = spawn(binary, this.arguments(), { stdio: ['ignore', log, log] });
    fs.closeSync(log);
    running.add(child);
    child.ended = new Promise((resolve) => {
      child.once('error', (error) => resolve({ code: null, signal: null, error }));
      child.once('exit', (code, signal) => resolve({ code, signal }));
    });
    child.ended.then(() => { running.delete(child); if (this.child === child) this.child = null; });
    this.child = child;
  }

  async start() {
    this.spawn();
    await this.ready();
  }

  ready() {
    return until(`${this.name} to be ready`, async () => {
      if (!this.child) throw new Error(`it ended:\n${this.log_tail()}`);
      return (await http_get(this.http, '/readyz')).status === 200;
    });
  }

  alive() { return this.child !== null && this.child.exitCode === null && this.child.signalCode === null; }

  // Sends the signal and waits for the end: {code, signal, ms}.
  async end(signal) {
    const child = this.child;
    if (!child) return { code: null, signal: null, ms: 0 };
    const begin = performance.now();
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), 30_000);
    const result = await child.ended;
    clearTimeout(timer);
    return { ...result, ms: performance.now() - begin };
  }
  kill() { return this.end('SIGKILL'); }
  terminate() { return this.end('SIGTERM'); }

  connect(options) { return RespConnection.connect(this.resp, options); }
  ask(...args) { return ask(this.resp, ...args); }

  log_tail(bytes = 3000) {
    return fs.existsSync(this.log_path) ? fs.readFileSync(this.log_path, 'utf8').slice(-bytes) : '';
  }
  // The sum of each metric's samples with these labels, all of one moment.
  async metrics(names, labels = {}) {
    const { body } = await http_get(this.http, '/metrics');
    return names.map((name) => {
      let sum = 0;
      for (const [, found, value] of body.matchAll(new RegExp(`^${name}(?:\\{(.*)\\})? (\\S+)$`, 'gm'))) {
        if (Object.entries(labels).every(([label, text]) => found?.includes(`${label}="${text}"`))) sum += Number(value);
      }
      return sum;
    });
  }
  resident_bytes() {
    const status = fs.readFileSync(`/proc/${this.child.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)[1]) * 1024;
  }
}

export class Cluster {
  // Makes the files of a cluster with all nodes in one region (or in `regions`, one name per node), nothing running yet.
  static async create({ regions = ['eu', 'eu', 'eu'], durability = 'os', partitions = 64, stripes = 2 } = {}) {
    const cluster = new Cluster();
    cluster.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cartwheel-e2e-'));
    cluster.file = path.join(cluster.folder, 'shop.toml');
    const hosts = regions.map((_, i) => `127.0.0.${i + 1}`);
    const taken = new Set();
    const [rpc, resp, http] = [await free_port(hosts, taken), await free_port(hosts, taken),
                               await free_port(hosts, taken)];
    cluster.nodes = regions.map((region, i) => new Node(cluster, {
      name: `${region}-${i + 1}`, region, zone: 'abc'[i % 3],
      rpc: { host: hosts[i], port: rpc }, resp: { host: hosts[i], port: resp }, http: { host: hosts[i], port: http },
    }));
    const replicas = [...new Set(regions)].map((name) => `${name} = ${regions.filter((r) => r === name).length}`);
    const text = [`cluster = "shop"`, `partitions = ${partitions}`, `stripes = ${stripes}`];
    for (const node of cluster.nodes) {
      text.push('[[node]]', `name = "${node.name}"`, `region = "${node.region}"`, `zone = "${node.zone}"`,
                ...['rpc', 'resp', 'http'].map((door) => `${door} = "${node[door].host}:${node[door].port}"`));
    }
    for (const [select, name] of [[0, 'carts'], [1, 'sessions']]) {
      text.push('[[keyspace]]', `name = "${name}"`, `select = ${select}`, `kind = "eventual"`,
                `replicas = { ${replicas.join(', ')} }`, `read = "local_quorum"`, `write = "local_quorum"`,
                `durability = "${durability}"`);
    }
    fs.writeFileSync(cluster.file, text.join('\n') + '\n');
    return cluster;
  }

  static async start(options) {
    const cluster = await Cluster.create(options);
    try {
      for (const node of cluster.nodes) node.spawn();
      await Promise.all(cluster.nodes.map((node) => node.ready()));
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  get resp_port() { return this.nodes[0].resp.port; }
  get hosts() { return this.nodes.map((node) => node.resp.host); }

  // Kills what runs and deletes the data. With CARTWHEEL_E2E_KEEP set the folder stays.
  async stop() {
    await Promise.all(this.nodes.map((node) => node.kill()));
    if (!process.env.CARTWHEEL_E2E_KEEP) fs.rmSync(this.folder, { recursive: true, force: true });
  }
}

// The addresses of all nodes behind one host name, in another order at every call: what a resolver does for a headless
// service. For the `lookup` option of node:net.
export function lookup_of(hosts) {
  let calls = 0;
  return (name, options, callback) => {
    const first = calls++ % hosts.length;
    const order = hosts.map((_, i) => hosts[(first + i) % hosts.length]);
    if (options.all) callback(null, order.map((address) => ({ address, family: 4 })));
    else callback(null, order[0], 4);
  };
}
