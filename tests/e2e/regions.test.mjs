// Two regions: what goes from one to the other is batched and compressed, unless a node does not offer to read that.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { until } from '../../scripts/lib/wait.mjs';
import { Cluster } from './lib/cluster.mjs';

const regions = ['eu', 'eu', 'us', 'us'];
const carts = 50;
const line = (cart, sku) => [`cart:${cart}`, `SKU-${100_000 + sku}`,
                             JSON.stringify({ quantity: 1 + cart % 3, price_cents: 1999, title: `Apples, ${sku} kg` })];

async function edit(node, sku) {
  const connection = await node.connect();
  await connection.pipeline(Array.from({ length: carts }, (_, cart) => ['HSET', ...line(cart, sku)]));
  connection.close();
}

const sees = (node, sku) => until(`${node.name} to see line ${sku} of every cart`, async () => {
  const connection = await node.connect();
  try {
    const values = await connection.pipeline(Array.from({ length: carts }, (_, cart) =>
      ['HGET', ...line(cart, sku).slice(0, 2)]));
    return values.every((value, cart) => value === line(cart, sku)[2]);
  } finally {
    connection.close();
  }
});

async function traffic(node, region) {
  const names = ['message_bytes', 'sent_bytes', 'batches'].map((name) => `cartwheel_region_${name}_total`);
  const [messages, sent, batches] = await node.metrics(names, { region });
  return { messages, sent, batches };
}

async function assert_nothing_rejected(cluster) {
  for (const node of cluster.nodes) {
    assert.deepEqual(await node.metrics(['cartwheel_region_rejected_batches_total']), [0], node.name);
  }
}

async function with_cluster(prepare, use) {
  const cluster = await Cluster.create({ regions });
  try {
    prepare(cluster);
    for (const node of cluster.nodes) node.spawn();
    await Promise.all(cluster.nodes.map((node) => node.ready()));
    await use(cluster);
  } finally {
    await cluster.stop();
  }
}

async function edit_on_both_sides(cluster) {
  const [eu1, , us1] = cluster.nodes;
  await Promise.all([edit(eu1, 1), edit(us1, 2)]);
  for (const node of cluster.nodes) await Promise.all([sees(node, 1), sees(node, 2)]);
}

test('edits of both regions arrive in both, compressed on their way', { timeout: 90_000 },
     () => with_cluster(() => {}, async (cluster) => {
  await edit_on_both_sides(cluster);
  const [eu1, , us1] = cluster.nodes;
  // Beside so many edits it does not count what the nodes have to tell each other when they meet, hashes above all.
  for (let sku = 10; sku < 30; ++sku) await Promise.all([edit(eu1, sku), edit(us1, sku + 20)]);
  for (const node of cluster.nodes) await Promise.all([sees(node, 29), sees(node, 49)]);
  for (const node of [eu1, us1]) {  // those that the edits came to
    const { messages, sent, batches } = await traffic(node, node.region === 'eu' ? 'us' : 'eu');
    assert.ok(batches > 0, node.name);
    assert.ok(sent < messages / 4, `${node.name}: ${sent} of ${messages} bytes`);
    assert.deepEqual(await traffic(node, node.region), { messages: 0, sent: 0, batches: 0 });
  }
  // A node that comes back begins a new stream with everybody.
  const eu2 = cluster.nodes[1];
  await us1.kill();
  await edit(eu2, 3);
  await us1.start();
  await edit(us1, 4);
  for (const node of cluster.nodes) await Promise.all([sees(node, 3), sees(node, 4)]);
  await assert_nothing_rejected(cluster);
}));

test('a node that does not offer to read batches gets plain frames, and sends such', { timeout: 90_000 },
     () => with_cluster((cluster) => { cluster.nodes[2].more_arguments = ['--wan-compression', 'none']; },
                        async (cluster) => {
  await edit_on_both_sides(cluster);
  const plain = await traffic(cluster.nodes[2], 'eu');
  assert.ok(plain.batches > 0);
  assert.equal(plain.sent, plain.messages);
  const mixed = await traffic(cluster.nodes[0], 'us');  // plain to us-3, compressed to us-4
  assert.ok(mixed.sent < mixed.messages, `${mixed.sent} of ${mixed.messages} bytes`);
  await assert_nothing_rejected(cluster);
}));
