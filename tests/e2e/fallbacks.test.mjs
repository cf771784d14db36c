// Fallbacks with real processes: with two of a key's three owners dead, carts are still written, and who returns gets it all.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { http_get, until } from '../../scripts/lib/wait.mjs';
import { with_grown } from './lib/grown.mjs';
import { RpcConnection } from './lib/rpc.mjs';

const names = ['eu-1', 'eu-2', 'eu-3', 'eu-4', 'eu-5'];
const keyspaces = [['carts', '--select', '0', '--replicas', 'eu=3', '--read', 'quorum', '--write', 'quorum']];

async function metric(node, name) {
  const { body } = await http_get(node.http, '/metrics');
  return Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\d+)`, 'm').exec(body)[1]);
}

test('with fallbacks writes go on while two of three owners are dead, and the cluster is equal afterwards', { timeout: 120_000 },
     () => with_grown(names, { keyspaces }, async (cluster) => {
  const at = cluster.named('eu-1');
  const [first, second] = [cluster.named('eu-4'), cluster.named('eu-5')];
  const write = async (from, to) => {
    const connection = await at.connect();
    const replies = [];
    for (let i = from; i < to; ++i) replies.push(await connection.command('HSET', `cart:${i}`, 'apples', `${i}`).catch((error) => error));
    const fallbacks = await connection.command('CARTWHEEL.SLOPPY');
    connection.close();
    return { refused: replies.filter((reply) => reply instanceof Error || reply?.error).length, fallbacks };
  };
  assert.deepEqual(await write(0, 100), { refused: 0, fallbacks: 0 });
  await Promise.all([first.kill(), second.kill()]);
  await until('the others to know', async () => (await write(100, 140)).refused > 0);

  await cluster.ok(['keyspace', 'alter', 'carts', '--fallbacks', 'on']);
  assert.match(await cluster.ok(['keyspaces']), /FALLBACKS\n.*carts.* on\n/);
  await until('every write to be taken', async () => (await write(100, 140)).refused === 0);
  const later = await write(200, 400);
  assert.equal(later.refused, 0);
  assert.ok(later.fallbacks > 0);
  // A client of the RPC is told of each reply, if it wants to know.
  const rpc = await RpcConnection.connect(at.rpc);
  const told = await Promise.all(Array.from({ length: 50 }, (_, i) =>
    rpc.ask('carts', 'map_set', `cart:${i}`, ['pears', `${i}`], { want_fallbacks: true })));
  const silent = await rpc.ask('carts', 'map_set', 'cart:0', ['pears', '0']);
  rpc.close();
  assert.ok(told.every((reply) => reply.code === 0 && reply.stale === false), JSON.stringify(told[0]));
  // Each counts at most two, and of 50 carts some have both of the dead nodes for owners.
  assert.ok(told.every(({ fallbacks }) => fallbacks <= 2) && told.some(({ fallbacks }) => fallbacks > 0));
  assert.equal(silent.fallbacks, undefined);
  const kept = async () => (await Promise.all(cluster.members.filter((node) => node.alive())
    .map((node) => metric(node, 'cartwheel_fallback_deltas')))).reduce((a, b) => a + b);
  assert.ok(await kept() > 0);

  await Promise.all([first.start(), second.start()]);
  await cluster.wait_ready();
  await until('nothing to be kept any more', async () => (await kept()) === 0, { timeout_ms: 30_000 });
  const verdict = await cluster.json(['verify']);
  assert.equal(verdict.equal, true);
  assert.equal(verdict.keys, 340);
}));
