// A cluster without a file, which begins with one node and grows: real processes, the commands of an operator.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { until } from '../../../scripts/lib/wait.mjs';
import { Node, binary, free_port, run } from './cluster.mjs';

class Member extends Node {
  extra = [];  // further flags of the next start

  at() { return `${this.rpc.host}:${this.rpc.port}`; }

  arguments() {
    const door = (name) => [`--${name}`, `${this[name].host}:${this[name].port}`];
    return [...(this.command ?? ['serve']), '--cluster', 'shop', '--name', this.name, '--region', this.region,
            '--zone', this.zone, '--data-dir', this.data_dir, '--cache-mb', '16', ...door('rpc'), ...door('resp'),
            ...door('http'), ...this.extra];
  }
}

export class GrownCluster {
  members = [];
  #taken = new Set();

  constructor() { this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cartwheel-e2e-')); }

  // A node that does not run yet, with ports of its own.
  async member(name, { zone = 'abc'[this.members.length % 3], extra = [] } = {}) {
    const ports = [];
    for (let i = 0; i < 3; ++i) ports.push(await free_port(['127.0.0.1'], this.#taken));
    const [rpc, resp, http] = ports.map((port) => ({ host: '127.0.0.1', port }));
    const node = new Member(this, { name, region: name.split('-')[0], zone, rpc, resp, http });
    node.extra = extra;
    this.members.push(node);
    return node;
  }

  // The first of `names` begins the cluster, the others join it.
  static async start(names, { partitions = 64, keyspaces = [], key_file } = {}) {
    const cluster = new GrownCluster();
    const keys = key_file ? ['--cluster-key-file', key_file] : [];
    try {
      const first = await cluster.member(names[0], { extra: ['--bootstrap', '--partitions', String(partitions), ...keys] });
      first.spawn();
      for (const name of names.slice(1)) {
        const node = await cluster.member(name, { extra: ['--join', first.at(), ...keys] });
        node.spawn();
      }
      await until('all to have joined', async () => first.alive() && (await cluster.status(first)).members.length === names.length);
      await cluster.wait_ready();
      for (const keyspace of keyspaces) await cluster.ok(['keyspace', 'create', ...keyspace]);
      await cluster.wait_ready();
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  named(name) { return this.members.find((node) => node.name === name); }
  any() { return this.members.find((node) => node.alive()); }

  // Runs a command at a member: {code, stdout, stderr}.
  cli(args, at = this.any()) { return run(binary, [...args, '--at', at.at()], { timeout_ms: 120_000 }); }

  // The same, which must end with 0; what it printed.
  async ok(args, at = this.any()) {
    const result = await this.cli(args, at);
    if (result.code !== 0) throw new Error(`${args.join(' ')}: exit ${result.code}: ${result.stderr}${this.tails()}`);
    return result.stdout;
  }
  async json(args, at = this.any()) { return JSON.parse(await this.ok([...args, '--json'], at)); }

  wait_ready(timeout = '60s', at = this.any()) { return this.ok(['wait', '--ready', '--timeout', timeout], at); }

  // The description that `status --json` prints, whatever its exit code.
  async status(at = this.any()) { return JSON.parse((await this.cli(['status', '--json'], at)).stdout); }

  await_state(name, state) {
    return until(`${name} to be ${state}`, async () => {
      const member = (await this.status()).members.find((each) => each.name === name);
      return member?.state === state;
    }, { timeout_ms: 60_000, every_ms: 200 });
  }

  tails() { return this.members.map((node) => `\n--- ${node.name}\n${node.log_tail(1500)}`).join(''); }

  async stop() {
    await Promise.all(this.members.map((node) => node.kill()));
    if (!process.env.CARTWHEEL_E2E_KEEP) fs.rmSync(this.folder, { recursive: true, force: true });
  }
}

export async function with_grown(names, options, work) {
  const cluster = await GrownCluster.start(names, options);
  try {
    await work(cluster);
  } catch (error) {
    error.message += cluster.tails();
    throw error;
  } finally {
    await cluster.stop();
  }
}
