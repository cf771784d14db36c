// Disks that lose or spoil files of a node: the others answer correctly throughout, and in the end all are equal again.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import { until } from '../../scripts/lib/wait.mjs';
import { with_grown } from './lib/grown.mjs';

const names = ['eu-1', 'eu-2', 'eu-3'];
const keyspaces = [['carts', '--select', '0', '--replicas', 'eu=3', '--read', 'quorum', '--write', 'quorum']];
const keys = 300;

async function write(node) {
  const connection = await node.connect();
  await connection.pipeline(Array.from({ length: keys }, (_, i) => ['HSET', `cart:${i}`, 'apples', `${i}`]));
  connection.close();
}

async function all_there(node) {
  const connection = await node.connect();
  const replies = await connection.pipeline(Array.from({ length: keys }, (_, i) => ['HGET', `cart:${i}`, 'apples']));
  connection.close();
  assert.deepEqual(replies.map(String), Array.from({ length: keys }, (_, i) => `${i}`));
}

const stripe = (node) => path.join(node.data_dir, 'stripe-0');
const aside = (node) => fs.readdirSync(node.data_dir).filter((name) => name.startsWith('stripe-0.broken-'));

const damages = {
  'a wiped directory': (node) => fs.rmSync(stripe(node), { recursive: true }),
  'a garbled manifest': (node) => {
    for (const file of fs.readdirSync(stripe(node)).filter((name) => name.startsWith('MANIFEST'))) {
      fs.writeFileSync(path.join(stripe(node), file), 'garbage'.repeat(100));
    }
  },
  'a file CURRENT that is gone': (node) => fs.rmSync(path.join(stripe(node), 'CURRENT')),
};

test('a node whose stripe was lost or broken starts, and gets everything back from the others', { timeout: 180_000 },
     () => with_grown(names, { keyspaces }, async (cluster) => {
  await write(cluster.named('eu-1'));
  const broken = cluster.named('eu-3');
  for (const [what, damage] of Object.entries(damages)) {
    const before = aside(broken).length;
    await broken.terminate();
    damage(broken);
    await all_there(cluster.named('eu-1'));
    await broken.start();
    await all_there(broken);
    await cluster.wait_ready();
    const verdict = await cluster.json(['verify']);
    assert.equal(verdict.equal, true, what);
    assert.equal(verdict.keys, keys, what);
    assert.equal(aside(broken).length, before + (what.includes('wiped') ? 0 : 1), what);
  }
  assert.equal((await cluster.json(['repair', '--now'])).quarantined, 0);
}));

test('the only copy is not set aside before the operator says so', { timeout: 120_000 },
     () => with_grown(['eu-1'], { keyspaces: [['carts', '--select', '0', '--replicas', 'eu=1']] }, async (cluster) => {
  await write(cluster.named('eu-1'));
  const node = cluster.named('eu-1');
  await node.terminate();
  damages['a garbled manifest'](node);
  node.spawn();
  const ended = await node.child.ended;
  assert.equal(ended.code, 1);
  assert.match(node.log_tail(), /only copy[\s\S]*--set-aside-broken-data/);
  assert.equal(aside(node).length, 0);
  node.extra = [...node.extra, '--set-aside-broken-data'];
  await node.start();
  assert.equal(aside(node).length, 1);
}));

// Makes bytes in a table of the stripe others. Of a running node it may be a table that is just being removed.
function flip_bytes(node) {
  try {
    const file = fs.openSync(tables_of(node).sort()[0], 'r+');
    fs.writeSync(file, Buffer.from('flipped by a disk'), 0, 17, Math.floor(fs.fstatSync(file).size / 3));
    fs.closeSync(file);
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
}
function tables_of(node) {
  return fs.readdirSync(stripe(node)).filter((name) => name.endsWith('.sst')).map((name) => path.join(stripe(node), name));
}

const many = 3000;
const value_of = (round, i) => `${round}:${i}:`.padEnd(1000, `${i * 7919 + round},`);
async function write_much(node, round) {
  const connection = await node.connect();
  for (let i = 0; i < many; i += 100) {
    const replies = await connection.pipeline(
      Array.from({ length: 100 }, (_, j) => ['SET', `note:${i + j}`, value_of(round, i + j)]));
    for (const reply of replies) assert.equal(String(reply), 'OK');
  }
  connection.close();
}
async function check_much(node, round) {
  const connection = await node.connect();
  for (let i = 0; i < many; i += 100) {
    const replies = await connection.pipeline(Array.from({ length: 100 }, (_, j) => ['GET', `note:${i + j}`]));
    replies.forEach((reply, j) => assert.ok(String(reply) === value_of(round, i + j), `note:${i + j} at ${node.name}`));
  }
  connection.close();
}

test('flipped bytes in a table of a running and of a stopped node: right answers, and the partitions are rebuilt',
     { timeout: 400_000 }, async () => {
  process.env.CARTWHEEL_MEMTABLE_MB = '1';  // so that there are tables, and compactions, soon
  try {
    await with_grown(names, { keyspaces, partitions: 8 }, async (cluster) => {
      const [writer, , spoiled] = names.map((name) => cluster.named(name));
      let round = 0;
      do await write_much(writer, round); while (tables_of(spoiled).length === 0 && ++round < 20);
      assert.notEqual(tables_of(spoiled).length, 0);
      for (const stopped of [false, true]) {
        const before = aside(spoiled).length;
        if (stopped) await spoiled.terminate();
        flip_bytes(spoiled);
        if (stopped) spoiled.spawn();
        const { child } = spoiled;
        // It asks others for what it cannot read; it may end in the midst of this, or before it serves.
        await check_much(spoiled, round).catch((error) => {
          if (error.code === 'ERR_ASSERTION') throw error;
        });
        // Sooner or later a compaction meets the block. The others go on.
        for (let i = 1; spoiled.alive() && i < 60; ++i) {
          await write_much(writer, ++round);
          if (i % 10 === 0 && spoiled.alive()) flip_bytes(spoiled);
        }
        assert.ok(!spoiled.alive(), 'a compaction has met the block');
        assert.equal((await child.ended).code, 1);
        assert.match(spoiled.log_tail(20_000), /a table of a stripe is damaged: the process ends/);
        await check_much(writer, round);
        await spoiled.start();
        assert.match(spoiled.log_tail(20_000), /what can be read was copied/);
        await check_much(spoiled, round);
        await until('all to be rebuilt', async () => (await cluster.status()).quarantined === 0, { timeout_ms: 60_000 });
        await cluster.wait_ready();
        assert.equal((await cluster.cli(['verify'])).code, 0);
        assert.equal(aside(spoiled).length, before + 1);
        // No loop: what was copied is whole, and compactions go through it.
        for (let i = 0; i < 6; ++i) await write_much(writer, ++round);
        assert.ok(spoiled.alive(), spoiled.log_tail());
        await check_much(spoiled, round);
      }
      assert.match(spoiled.log_tail(200_000), /a partition is quarantined[\s\S]*a quarantined partition was rebuilt/);
    });
  } finally {
    delete process.env.CARTWHEEL_MEMTABLE_MB;
  }
});

test('both of two replicas spoiled: the operator accepts the loss, and gets what either of them can read',
     { timeout: 200_000 }, async () => {
  process.env.CARTWHEEL_MEMTABLE_MB = '1';
  try {
    const two = [['carts', '--select', '0', '--replicas', 'eu=2', '--read', 'one', '--write', 'one']];
    await with_grown(names.slice(0, 2), { keyspaces: two, partitions: 1 }, async (cluster) => {
      const [first, second] = cluster.members;
      let round = 0;
      do await write_much(first, round); while (cluster.members.some((node) => tables_of(node).length === 0) && ++round < 20);
      await Promise.all(cluster.members.map((node) => node.terminate()));
      for (const node of cluster.members) {
        flip_bytes(node);
        fs.writeFileSync(path.join(stripe(node), 'DAMAGED'), 'found by a compaction\n');  // as the process does that ends by it
        node.spawn();
      }
      await until('both to be quarantined', async () => (await cluster.status()).quarantined === 2, { timeout_ms: 30_000 });
      const text = (await cluster.cli(['status'])).stdout;
      assert.match(text, /eu-1: 1 partition is quarantined.*--accept-losses'\neu-2: 1 partition is quarantined/);
      const connection = await second.connect();
      await assert.rejects(async () => {
        const [reply] = await connection.pipeline([['GET', 'note:1']]);
        if (reply instanceof Error) throw reply;
      }, /UNAVAILABLE|quarantined/);
      connection.close();
      assert.equal((await cluster.cli(['repair', '--now', '--accept-losses', '--timeout', '60s'])).code, 0);
      assert.equal((await cluster.status()).quarantined, 0);
      assert.equal((await cluster.cli(['verify'])).code, 0);
      const lost = [0, 0];
      for (const [n, node] of cluster.members.entries()) {
        const reader = await node.connect();
        for (let i = 0; i < many; ++i) {
          const [reply] = await reader.pipeline([['GET', `note:${i}`]]);
          if (reply === null) ++lost[n];
          else assert.ok(String(reply) === value_of(round, i), `note:${i} at ${node.name}: ${reply}`);
        }
        reader.close();
      }
      assert.equal(lost[0], lost[1]);
      assert.ok(lost[0] < 100, `${lost[0]} lost`);  // at most what was in the same block of both
      assert.match(first.log_tail(20_000) + second.log_tail(20_000), /with what its owners together could read/);
    });
  } finally {
    delete process.env.CARTWHEEL_MEMTABLE_MB;
  }
});
