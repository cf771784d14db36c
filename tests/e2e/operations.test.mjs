// What an operator does and what happens to one: start, stop, crash, wrong files, lost disks, questions to a node.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import { RespConnection } from '../../scripts/lib/resp.mjs';
import { http_get, until } from '../../scripts/lib/wait.mjs';
import { Cluster, binary, run } from './lib/cluster.mjs';

const kKeys = 2000;

async function write_keys(node, prefix) {
  const connection = await node.connect({ timeout_ms: 30_000 });
  const commands = Array.from({ length: kKeys }, (_, i) => ['SET', `${prefix}:${i}`, `value ${i}`]);
  assert.deepEqual(new Set(await connection.pipeline(commands)), new Set(['OK']));
  connection.close();
}

// The keys of `prefix` whose value is not what write_keys() wrote.
async function wrong_keys(node, prefix) {
  const connection = await node.connect({ timeout_ms: 30_000 });
  const replies = await connection.pipeline(Array.from({ length: kKeys }, (_, i) => ['GET', `${prefix}:${i}`]));
  connection.close();
  return replies.flatMap((value, i) => (value === `value ${i}` ? [] : [`${prefix}:${i}: ${value}`]));
}

async function with_cluster(options, work) {
  const cluster = await Cluster.start(options);
  try {
    await work(cluster);
  } finally {
    await cluster.stop();
  }
}

test('/livez, /readyz and /metrics tell the truth, promtool accepts the metrics, status lists the nodes',
     { timeout: 60_000 }, () => with_cluster({}, async (cluster) => {
  const [node] = cluster.nodes;
  await write_keys(node, 'm');
  assert.equal((await http_get(node.http, '/livez')).status, 200);
  assert.equal((await http_get(node.http, '/readyz')).status, 200);
  const metrics = await http_get(node.http, '/metrics');
  assert.equal(metrics.status, 200);
  assert.match(metrics.headers.get('content-type'), /^text\/plain; version=0\.0\.4/);
  const checked = await run('promtool', ['check', 'metrics'], { input: metrics.body });
  assert.equal(checked.code, 0, checked.stdout + checked.stderr);

  const status = await run(binary, ['status', '--cluster-file', cluster.file, '--json']);
  assert.equal(status.code, 0, status.stderr);
  for (const one of cluster.nodes) assert.ok(status.stdout.includes(one.name), one.name);
  JSON.parse(status.stdout);
  assert.match((await run(binary, ['status', '--cluster-file', cluster.file])).stdout, /eu-1/);

  // Without a majority a node lives, but is not ready, and says why it cannot write.
  await cluster.nodes[1].kill();
  await cluster.nodes[2].kill();
  await until('the last node to be unready', async () => (await http_get(node.http, '/readyz')).status === 503);
  assert.equal((await http_get(node.http, '/livez')).status, 200);
  await assert.rejects(node.ask('SET', 'x', '1'), /local_quorum/);
  const broken = await run(binary, ['status', '--cluster-file', cluster.file]);
  assert.equal(broken.code, 4, broken.stdout + broken.stderr);
}));

test('SIGTERM drains and exits 0 in under 10 s, and everything is there after the restart', { timeout: 60_000 },
     () => with_cluster({}, async (cluster) => {
  await write_keys(cluster.nodes[0], 'k');
  const idle = await cluster.nodes[0].connect();
  const ends = await Promise.all(cluster.nodes.map((node) => node.terminate()));
  for (const [i, { code, ms }] of ends.entries()) {
    assert.equal(code, 0, cluster.nodes[i].log_tail());
    assert.ok(ms < 10_000, `it took ${ms} ms`);
  }
  idle.close();
  await Promise.all(cluster.nodes.map((node) => node.start()));
  for (const node of cluster.nodes) assert.deepEqual(await wrong_keys(node, 'k'), []);
}));

test('SIGTERM under load: requests are answered or the connection closes, acknowledged writes stay', { timeout: 60_000 },
     () => with_cluster({}, async (cluster) => {
  const [node, other] = cluster.nodes;
  const acknowledged = [];
  const write = async (worker) => {
    const connection = await node.connect();
    for (let i = 0; ; ++i) {
      try {
        await connection.command('SADD', `load:${worker}`, i);
      } catch {
        return;
      }
      acknowledged.push([worker, i]);
    }
  };
  const writers = [0, 1, 2, 3].map(write);
  await until('some writes', () => acknowledged.length > 400);
  const { code, ms } = await node.terminate();
  await Promise.all(writers);
  assert.equal(code, 0, node.log_tail());
  assert.ok(ms < 10_000);
  for (const worker of [0, 1, 2, 3]) {
    const members = new Set(await other.ask('SMEMBERS', `load:${worker}`));
    assert.deepEqual(acknowledged.filter(([w, i]) => w === worker && !members.has(String(i))), []);
  }
}));

test('kill -9 of all nodes at once loses nothing that was acknowledged', { timeout: 60_000 },
     () => with_cluster({}, async (cluster) => {
  const acknowledged = [];
  const write = async (node, worker) => {
    const connection = await node.connect();
    for (let i = 0; ; ++i) {
      try {
        await connection.command('HSET', `crash:${worker}`, `f${i}`, i);
      } catch {
        return;
      }
      acknowledged.push([worker, i]);
    }
  };
  const writers = cluster.nodes.map(write);
  await until('some writes', () => acknowledged.length > 600);
  await Promise.all(cluster.nodes.map((node) => node.kill()));
  await Promise.all(writers);
  await Promise.all(cluster.nodes.map((node) => node.start()));
  for (const node of cluster.nodes) {
    for (const worker of [0, 1, 2]) {
      const fields = new Set(await node.ask('HKEYS', `crash:${worker}`));
      assert.deepEqual(acknowledged.filter(([w, i]) => w === worker && !fields.has(`f${i}`)), [], node.name);
    }
  }
}));

test('a wiped data directory comes back from the other replicas', { timeout: 90_000 },
     () => with_cluster({}, async (cluster) => {
  const [first, second, third] = cluster.nodes;
  await write_keys(first, 'w');
  assert.equal(await first.ask('DEL', 'w:7'), 1);
  await third.terminate();
  fs.rmSync(third.data_dir, { recursive: true });
  await write_keys(first, 'while-away');
  await third.start();
  // With the first node gone, the two that are left must agree: the wiped one has to have everything.
  const count = async () => {
    const { body } = await http_get(third.http, '/metrics');
    return Number(/^cartwheel_storage_keys (\d+)/m.exec(body)?.[1]);
  };
  await until('the wiped node to have all keys', async () => (await count()) === 2 * kKeys - 1,
              { timeout_ms: 30_000 });
  await first.kill();
  const absent = await wrong_keys(third, 'w');
  assert.deepEqual(absent, ['w:7: null']);
  assert.deepEqual(await wrong_keys(third, 'while-away'), []);
  assert.equal(await third.ask('SET', 'after', 'x'), 'OK');
  assert.equal(await second.ask('GET', 'after'), 'x');
}));

test('a cluster file with a mistake names the line and the reason, and exits with 2', { timeout: 60_000 }, async () => {
  const cluster = await Cluster.create();
  try {
    const good = fs.readFileSync(cluster.file, 'utf8').split('\n');
    const line_of = (text) => good.findIndex((line) => line.includes(text)) + 1;
    const mistakes = [
      ['partitions = 64', 'partitions = 63', /partitions/],
      ['kind = "eventual"', 'kind = "imaginary"', /kind/],
      ['read = "local_quorum"', 'read = "most"', /most/],
      ['zone = "b"', 'zonne = "b"', /zonne/],
      ['replicas = ', 'replicas = { eu = 4 }', /replicas|eu/],
      ['cluster = "shop"', 'cluster = "shop', /./],
    ];
    for (const [right, wrong, reason] of mistakes) {
      const line = line_of(right);
      const file = path.join(cluster.folder, 'wrong.toml');
      fs.writeFileSync(file, good.map((text, i) => (i + 1 === line ? wrong : text)).join('\n'));
      const result = await run(binary, ['serve', '--cluster-file', file, '--node', 'eu-1', '--data-dir',
                                        path.join(cluster.folder, 'never')], { timeout_ms: 10_000 });
      assert.equal(result.code, 2, `${wrong}: ${result.stderr}`);
      assert.ok(result.stderr.includes(`${file}:${line}`), `${wrong}: ${result.stderr}`);
      assert.match(result.stderr, reason);
    }
    const serve = (...args) => run(binary, ['serve', ...args], { timeout_ms: 10_000 });
    const data = path.join(cluster.folder, 'never');
    const nobody = await serve('--cluster-file', cluster.file, '--node', 'eu-9', '--data-dir', data);
    assert.equal(nobody.code, 2);
    assert.match(nobody.stderr, /eu-9/);
    const absent = await serve('--cluster-file', `${cluster.file}.absent`, '--node', 'eu-1', '--data-dir', data);
    assert.equal(absent.code, 2);
    assert.match(absent.stderr, /absent/);
    assert.equal((await serve('--node', 'eu-1')).code, 2);
    assert.equal((await serve('--frobnicate')).code, 2);
    assert.equal((await run(binary, ['--help'])).code, 0);
  } finally {
    await cluster.stop();
  }
});

test('a second process on the same data, the data of another node, and a taken port are refused', { timeout: 60_000 },
     () => with_cluster({}, async (cluster) => {
  const [first, second] = cluster.nodes;
  const serve = (node, data_dir, file = cluster.file) =>
    run(binary, ['serve', '--cluster-file', file, '--node', node, '--data-dir', data_dir], { timeout_ms: 20_000 });
  const twice = await serve('eu-1', first.data_dir);
  assert.equal(twice.code, 1, twice.stderr);

  // Another cluster file with other ports, so that only the data directory is in the way.
  const other = await Cluster.create();
  try {
    const locked = await serve('eu-1', first.data_dir, other.file);
    assert.equal(locked.code, 1);
    assert.ok(locked.stderr.includes(first.data_dir), locked.stderr);
    await second.terminate();
    const foreign = await serve('eu-3', second.data_dir, other.file);
    assert.equal(foreign.code, 1);
    assert.match(foreign.stderr, /eu-2/);
    const taken = await serve('eu-1', path.join(cluster.folder, 'new'));
    assert.equal(taken.code, 1);
    assert.match(taken.stderr, new RegExp(`${first.resp.host}:(${first.resp.port}|${first.rpc.port}|${first.http.port})`));
    assert.equal(await first.ask('PING'), 'PONG');
  } finally {
    await other.stop();
  }
}));
