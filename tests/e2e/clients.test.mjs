// Unmodified Redis clients do the work of a shop against three processes, one of which is killed in the middle.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { until } from '../../scripts/lib/wait.mjs';
import { clients } from './lib/clients.mjs';
import { Cluster } from './lib/cluster.mjs';
import { Load } from './lib/load.mjs';

async function with_cluster(client, work) {
  const cluster = await Cluster.start();
  const open = [];
  try {
    await work(cluster, async (database) => {
      const adapter = await client.open(cluster, database);
      open.push(adapter);
      return adapter;
    });
  } finally {
    for (const adapter of open) adapter.close();
    await cluster.stop();
  }
}

for (const client of clients) {
  test(`${client.name}: strings, counters, hashes, sets, expiry and scans`, { skip: client.skip, timeout: 60_000 },
       () => with_cluster(client, async (cluster, open) => {
    const db = await open(0);
    const sessions = await open(1);

    assert.equal(await db.set('greeting', 'grüß dich'), 'OK');
    assert.equal(await db.get('greeting'), 'grüß dich');
    assert.equal(await db.get('nothing'), null);
    assert.equal(await sessions.get('greeting'), null, 'a database number is a keyspace of its own');
    assert.equal(await db.incr('visits'), 1);
    assert.equal(await db.incr('visits'), 2);
    await assert.rejects(db.incr('greeting'), /not an integer/);
    await assert.rejects(db.hset('greeting', 'a', 'b'), /WRONGTYPE/);

    await db.hset('cart:7', 'apples', '2');
    await db.hset('cart:7', 'bread', '1');
    assert.equal(await db.hincrby('cart:7', 'apples', 3), 5);
    assert.deepEqual(await db.hgetall('cart:7'), { apples: '5', bread: '1' });
    assert.equal(await db.hdel('cart:7', 'bread'), 1);
    assert.deepEqual(await db.hgetall('cart:7'), { apples: '5' });

    assert.equal(await db.sadd('tags', ['red', 'green']), 2);
    assert.equal(await db.sadd('tags', ['green', 'blue']), 1);
    assert.deepEqual((await db.smembers('tags')).sort(), ['blue', 'green', 'red']);

    const pairs = Array.from({ length: 500 }, (_, i) => [`bulk:${i}`, `value ${i}`]);
    assert.deepEqual(await db.pipeline(pairs), pairs.map(() => 'OK'));
    assert.deepEqual(await db.mget(['bulk:0', 'bulk:499', 'bulk:500']), ['value 0', 'value 499', null]);
    const found = new Set(await db.scan('bulk:*'));
    assert.equal(found.size, 500);

    assert.equal(await db.expire('greeting', 100), 1);
    const ttl = await db.ttl('greeting');
    assert.ok(ttl > 95 && ttl <= 100, `TTL is ${ttl}`);
    assert.equal(await db.ttl('visits'), -1);
    assert.equal(await db.ttl('nothing'), -2);
    assert.equal(await db.del('greeting'), 1);
    assert.equal(await db.del('greeting'), 0);
    for (const node of cluster.nodes) assert.equal(await node.ask('GET', 'greeting'), null);
  }));

  test(`${client.name}: log in, touch, expire and log out while nodes are killed`, { skip: client.skip, timeout: 90_000 },
       (t) => with_cluster(client, async (cluster, open) => {
    const db = await open(0);
    const user = await open(1);
    await user.set('sess:ann', '{"user":"ann"}', 600);
    await user.set('sess:short', '{"user":"bob"}', 3);

    // Every request writes something of its own and reads it back through the same client.
    const acknowledged = [];
    const load = new Load(t, async (n) => {
      const field = `item ${n}`;
      await db.hset(`cart:${n % 20}`, field, String(n));
      await db.set(`last:${n % 20}:${n}`, field, 600);
      assert.equal(await db.get(`last:${n % 20}:${n}`), field);
      assert.equal(await user.get('sess:ann'), '{"user":"ann"}');
      acknowledged.push(n);
    });
    await load.progress(100);
    // Both clients have asked this node until now.
    await cluster.nodes[0].kill();
    await load.progress(300);
    assert.equal(await user.expire('sess:ann', 900), 1);
    assert.ok(await user.ttl('sess:ann') > 890);
    await cluster.nodes[0].start();
    await load.progress(100);
    await cluster.nodes[1].kill();
    await load.progress(300);
    await cluster.nodes[1].start();
    await load.progress(50);
    await load.stop();

    assert.deepEqual(load.failed, []);
    assert.deepEqual(load.reply_errors, []);
    for (const node of cluster.nodes) {
      const carts = await Promise.all(Array.from({ length: 20 }, (_, i) => node.ask('HGETALL', `cart:${i}`)));
      const fields = new Set(carts.flat());
      assert.deepEqual(acknowledged.filter((n) => !fields.has(`item ${n}`)), [], `missing on ${node.name}`);
    }
    await until('the short session to expire', async () => (await user.get('sess:short')) === null);
    assert.equal(await user.get('sess:ann'), '{"user":"ann"}');
    assert.equal(await user.del('sess:ann'), 1);
    for (const node of cluster.nodes) {
      const connection = await node.connect();
      await connection.command('SELECT', 1);
      assert.equal(await connection.command('GET', 'sess:ann'), null);
      assert.equal(await connection.command('TTL', 'sess:short'), -2);
      connection.close();
    }
  }));
}
