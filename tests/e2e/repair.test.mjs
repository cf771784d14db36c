// The proof that replicas agree, and the repair where they do not, as an operator asks for them.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { with_grown } from './lib/grown.mjs';

const names = ['eu-1', 'eu-2', 'eu-3'];
const keyspaces = [['carts', '--select', '0', '--replicas', 'eu=3', '--read', 'quorum', '--write', 'quorum'],
                   ['sessions', '--select', '1', '--replicas', 'eu=2', '--read', 'one', '--write', 'one']];

async function write(node, from, to) {
  const connection = await node.connect();
  const commands = [];
  for (let i = from; i < to; ++i) commands.push(['HSET', `cart:${i}`, 'apples', `${i}`, 'pears', '2']);
  await connection.pipeline(commands);
  connection.close();
}

test('verify and repair prove that all replicas are equal, and say when one cannot be asked', { timeout: 120_000 },
     () => with_grown(names, { keyspaces }, async (cluster) => {
  await write(cluster.named('eu-1'), 0, 500);
  const equal = await cluster.json(['verify']);
  assert.equal(equal.equal, true);
  assert.equal(equal.keys, 500);
  assert.equal(equal.partitions, 2 * 64);
  assert.equal(equal.copies, 64 * 3 + 64 * 2);
  assert.deepEqual(equal.differing, []);
  const text = await cluster.ok(['verify', '--keyspace', 'sessions']);
  assert.match(text, /^equal as of 20\d\d-\S+Z: 0 keys in 64 partitions, 128 copies compared\n$/);

  const repaired = await cluster.json(['repair', '--now']);
  assert.equal(repaired.done, true);
  assert.equal(repaired.pairs, 64 * 3 + 64);
  assert.equal(repaired.keys_repaired, 0, 'nothing was lost');
  const carts = await cluster.json(['repair', '--now', '--keyspace', 'carts']);
  assert.equal(carts.pairs, 64 * 3);
  assert.match(await cluster.ok(['repair', '--now']), /^done: 256 of 256 comparisons found equal, 0 keys repaired, \d+ bytes sent\n$/);
  assert.match(await cluster.ok(['repair']), /ALL EQUAL SINCE[\s\S]*eu-1 +eu +\d+ +0 +\d+ +20\d\d-/);

  assert.equal((await cluster.json(['repair', '--now', '--region', 'eu'])).pairs, 64 * 3 + 64);
  const nowhere = await cluster.cli(['repair', '--now', '--region', 'mars']);
  assert.deepEqual([nowhere.code, nowhere.stderr], [2, 'cartwheel: there is no region "mars"\n']);
  assert.match(await cluster.ok(['repair', '--pause']), /paused at eu-1\n/);
  const paused = await cluster.cli(['repair', '--now']);
  assert.deepEqual([paused.code, paused.stderr], [1, 'cartwheel: the repair is paused at eu-1; see --resume\n']);
  assert.deepEqual((await cluster.json(['repair', '--resume'])).paused, []);

  const away = cluster.named('eu-3');
  await away.kill();
  await write(cluster.named('eu-1'), 500, 600);
  const verdict = await cluster.cli(['verify', '--json', '--timeout', '2s']);
  assert.equal(verdict.code, 4);
  const document = JSON.parse(verdict.stdout);
  assert.deepEqual(document.unreachable, ['eu-3']);
  assert.equal(document.differing[0].reason, 'missing');
  assert.equal((await cluster.cli(['repair', '--now', '--timeout', '2s'])).code, 4);

  await away.start();
  await cluster.wait_ready();
  const after = await cluster.json(['verify']);
  assert.equal(after.keys, 600);
}));

test('verify waits for writes that are under way, and what it was asked for wrongly it says', { timeout: 120_000 },
     () => with_grown(names, { keyspaces }, async (cluster) => {
  let stopped = false;
  const load = (async () => {
    for (let i = 0; !stopped; i += 20) await write(cluster.any(), i % 2000, i % 2000 + 20);
  })();
  for (let i = 0; i < 3; ++i) assert.equal((await cluster.cli(['verify'])).code, 0);
  stopped = true;
  await load;
  const none = await cluster.cli(['verify', '--keyspace', 'orders']);
  assert.equal(none.code, 1);
  assert.match(none.stderr, /there is no keyspace 'orders'/);
  assert.equal((await cluster.cli(['verify', '--timeout', 'soon'])).code, 2);
}));
