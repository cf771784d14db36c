// Disks that lose or spoil files of a node: the others answer correctly throughout, and in the end all are equal again.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

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
