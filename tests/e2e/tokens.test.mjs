// Session tokens through the RPC: a customer writes in one region and goes on in the other one, which lags.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { until } from '../../scripts/lib/wait.mjs';
import { Cluster } from './lib/cluster.mjs';
import { RpcConnection } from './lib/rpc.mjs';

const kOk = 0, kUnavailable = 4, kBadToken = 13;

async function with_regions(regions, work) {
  const cluster = await Cluster.create({ regions });
  const connections = [];
  try {
    for (const node of cluster.nodes) {
      node.more_arguments = ['--wan-window-ms', '1000'];  // so that what one region has is not yet in the other
      node.spawn();
    }
    await Promise.all(cluster.nodes.map((node) => node.ready()));
    for (const node of cluster.nodes) connections.push(await RpcConnection.connect(node.rpc));
    await work(cluster, ...connections);
  } finally {
    for (const connection of connections) connection.close();
    for (const node of cluster.nodes) node.child?.kill('SIGCONT');
    await cluster.stop();
  }
}

async function written(connection, key, value, token = '') {
  const reply = await connection.ask('carts', 'set', key, [value], { token });
  assert.equal(reply.code, kOk, reply.message);
  assert.ok(reply.token.length > 0 && reply.token.length <= 256);
  assert.equal(reply.stale, false);
  return reply.token;
}

test('a token is waited for, and what is behind it is said to be stale', { timeout: 90_000 },
     () => with_regions(['eu', 'us'], async (cluster, eu, us) => {
  const [first] = cluster.nodes;
  // A write that eu has acknowledged and us does not have, as eu stands still before it has sent it.
  let tries = 0;
  const held = await until('a write to be held back', async () => {
    const key = `cart:${++tries}`;
    const token = await written(eu, key, 'apples');
    first.child.kill('SIGSTOP');
    const reply = await us.ask('carts', 'get', key, [], { token, token_policy: 'stale' });
    assert.equal(reply.code, kOk, reply.message);
    if (reply.stale) return { key, token, reply };
    first.child.kill('SIGCONT');
    assert.equal(reply.value, 'apples');
    return null;
  });
  assert.equal(held.reply.value, null);
  const ask = (options) => us.ask('carts', 'get', held.key, [], { token: held.token, ...options });
  for (const token_policy of ['wait', 'forward']) {
    const late = await ask({ token_policy, token_wait_ms: 100 });
    assert.equal(late.code, kUnavailable, `${token_policy}: ${late.code} ${late.message}`);
    assert.match(late.message, /session token/);
  }
  // The token of the stale reply demands what the old one did.
  const again = await us.ask('carts', 'get', held.key, [], { token: held.reply.token, token_policy: 'stale' });
  assert.equal(again.stale, true);
  assert.equal((await us.ask('carts', 'get', held.key)).value, null, 'without a token nothing is demanded');

  const waiting = ask({});
  first.child.kill('SIGCONT');
  const reply = await waiting;
  assert.deepEqual([reply.code, reply.value, reply.stale], [kOk, 'apples', false], reply.message);
}));

test('a token is followed to a replica that is known to have what it demands', { timeout: 90_000 },
     () => with_regions(['eu', 'eu', 'us'], async (cluster, eu, other, us) => {
  const [first, , away] = cluster.nodes;
  const forwards = async () => (await away.metrics(['cartwheel_coordinator_forwards_total']))[0];
  const before = await forwards();
  let [token, tries] = ['', 0];
  // eu-1 stands still before it has sent the write to us, which is told of it by eu-2's announcement.
  await until('a read to be passed on', async () => {
    const value = `apples ${++tries}`;
    token = await written(eu, 'cart', value, token);
    first.child.kill('SIGSTOP');
    const reply = await until('an answer', async () => {
      const each = await us.ask('carts', 'get', 'cart', [], { token, token_policy: 'forward', token_wait_ms: 20, level: 'one' });
      assert.ok(each.code === kOk || each.code === kUnavailable, `${each.code} ${each.message}`);
      return each.code === kOk && each;
    });
    first.child.kill('SIGCONT');
    assert.deepEqual([reply.value, reply.stale], [value, false]);
    token = reply.token;
    return (await forwards()) > before;
  });
  // The session goes on in the other region, and what it writes there is seen at home.
  token = await written(us, 'cart', 'pears', token);
  const reply = await eu.ask('carts', 'get', 'cart', [], { token });
  assert.deepEqual([reply.code, reply.value, reply.stale], [kOk, 'pears', false], reply.message);
}));

test('a wrong token is one typed error, and the connection goes on', { timeout: 60_000 },
     () => with_regions(['eu', 'us'], async (cluster, eu) => {
  const token = await written(eu, 'cart', 'apples');
  for (const wrong of ['nonsense', token.slice(0, -4), token + token, 'x'.repeat(300)]) {
    const reply = await eu.ask('carts', 'set', 'cart', ['pears'], { token: wrong });
    assert.equal(reply.code, kBadToken, `${wrong}: ${reply.message}`);
    assert.deepEqual([reply.value, reply.token], [null, undefined]);
  }
  const reply = await eu.ask('carts', 'get', 'cart', [], { token });
  assert.deepEqual([reply.code, reply.value], [kOk, 'apples'], 'nothing was applied, and the old token is good');
}));
