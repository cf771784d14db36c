// Cluster-aware clients of Redis start, find all nodes of the region and are served, though there are no slots.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';

import { with_grown } from './lib/grown.mjs';

const require = createRequire(import.meta.url);

test('cluster clients: ioredis 5 and 6, node-redis 5', { timeout: 120_000 }, () => with_grown(['eu-1', 'eu-2', 'eu-3'], {
  keyspaces: [['carts', '--select', '0', '--replicas', 'eu=3']],
}, async (cluster) => {
  const seed = cluster.members[0].resp;
  for (const name of ['ioredis5', 'ioredis6']) {
    const Redis = require(name);
    const client = new (Redis.Cluster ?? Redis.default.Cluster)([seed]);
    for (let i = 0; i < 50; ++i) assert.equal(await client.set(`${name}:${i}`, `${i}`), 'OK');
    for (let i = 0; i < 50; ++i) assert.equal(await client.get(`${name}:${i}`), `${i}`);
    assert.equal(client.nodes('master').length, 3);
    client.disconnect();
  }
  const { createCluster } = require('redis5');
  const client = createCluster({ rootNodes: [{ url: `redis://${seed.host}:${seed.port}` }] });
  client.on('error', () => {});
  await client.connect();
  for (let i = 0; i < 50; ++i) assert.equal(await client.set(`n:${i}`, `${i}`), 'OK');
  for (let i = 0; i < 50; ++i) assert.equal(await client.get(`n:${i}`), `${i}`);
  assert.equal(client.masters.length, 3);
  await client.close();
}));
