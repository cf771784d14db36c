// What an operator sees of replicas: who lags behind whom, and what each of them stores of a key.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { until } from '../../scripts/lib/wait.mjs';
import { Cluster, binary, run } from './lib/cluster.mjs';

async function with_cluster(options, work) {
  const cluster = await Cluster.start(options);
  try {
    await work(cluster);
  } finally {
    await cluster.stop();
  }
}

const at = (node) => ['--at', `${node.rpc.host}:${node.rpc.port}`];

async function ask_json(...args) {
  const { code, stdout, stderr } = await run(binary, [...args, '--json']);
  assert.ok(stdout, `${code}: ${stderr}`);
  return { code, ...JSON.parse(stdout) };
}

test('lag: a dead replica lacks what is written meanwhile, and has it again after its start', { timeout: 60_000 },
     () => with_cluster({}, async (cluster) => {
  const [first, , third] = cluster.nodes;
  const row = (lag, origin) => lag.regions.find((each) => each.region === 'eu' && each.origin === origin);
  await first.ask('SET', 'before', '1');
  await until('nothing to be missing', async () => (await ask_json('lag', ...at(first))).regions.every((r) => r.dots === 0));
  await third.kill();
  for (let i = 0; i < 20; ++i) await first.ask('SET', `k${i}`, 'v');
  await until('the lag to show its age', async () => row(await ask_json('lag', ...at(first)), first.name).seconds >= 2);
  const behind = await ask_json('lag', ...at(cluster.nodes[1]));  // any node tells of all
  assert.equal(behind.code, 0);
  assert.deepEqual(behind.unreachable, [third.name]);
  const { seconds, ...rest } = row(behind, first.name);
  assert.deepEqual(rest, { region: 'eu', origin: first.name, origin_region: 'eu', dots: 20, replica: third.name });
  assert.ok(seconds >= 2 && seconds < 60, String(seconds));
  assert.equal(row(behind, cluster.nodes[1].name).dots, 0);
  const text = await run(binary, ['lag', ...at(first)]);
  assert.equal(text.code, 0);
  assert.match(text.stdout, new RegExp(`eu +${first.name} +eu +20 +\\d+ +${third.name}\n`));
  assert.match(text.stdout, new RegExp(`no answer from ${third.name}`));

  await third.start();
  await until('nothing to be missing again', async () => {
    const lag = await ask_json('lag', ...at(third));
    return lag.unreachable.length === 0 && lag.regions.every((each) => each.dots === 0 && each.seconds === 0);
  });
  await Promise.all(cluster.nodes.map((node) => node.kill()));
  assert.equal((await run(binary, ['lag', ...at(first)])).code, 3);
}));

test('explain: concurrent writes of two regions, who wins and why', { timeout: 60_000 },
     () => with_cluster({ regions: ['eu', 'us'] }, async (cluster) => {
  const [eu, us] = cluster.nodes;
  // Each writes while the other is down: neither has seen what the other wrote.
  await us.kill();
  await eu.ask('SET', 'note', 'from eu');
  await eu.ask('HINCRBY', 'cart', 'apples', '2');
  await eu.kill();
  await us.start();
  await us.ask('SET', 'note', Buffer.from([0x66, 0x00, 0xff]));
  await us.ask('HINCRBY', 'cart', 'apples', '3');
  await eu.start();
  // Each key is of a partition of its own, and each partition catches up by itself.
  await until('both to have both', async () => {
    const [cart, note] = [await ask_json('explain', 'cart', ...at(eu)), await ask_json('explain', 'note', ...at(eu))];
    return cart.agree && cart.replicas[0].leaves[0].shown.value === '5' && note.agree && note.replicas[0].leaves[0].values.length === 2;
  });

  const note = await ask_json('explain', 'note', ...at(eu));
  assert.deepEqual([note.code, note.found, note.agree, note.keyspace], [0, true, true, 'carts']);
  assert.deepEqual(note.replicas.map((each) => each.node).sort(), [eu.name, us.name]);
  for (const replica of note.replicas) {
    const [leaf] = replica.leaves;
    assert.equal(leaf.where, 'string');
    assert.deepEqual(leaf.values.map((v) => [v.node, v.value, v.wins]).sort(),
                     [[eu.name, 'from eu', false], [us.name, 'f\\x00\\xff', true]]);
    assert.equal(leaf.shown.value, 'f\\x00\\xff');
    assert.match(leaf.why, /2 concurrent values, shown: the latest hybrid time/);
    for (const value of leaf.values) assert.ok(Math.abs(Date.parse(value.time) - Date.now()) < 60_000, value.time);
  }
  const cart = await ask_json('explain', 'cart', 'apples', ...at(us), '--keyspace', 'carts');
  const [leaf] = cart.replicas[0].leaves;
  assert.deepEqual(leaf.chains.map((c) => [c.node, c.total, c.base]).sort(), [[eu.name, 2, 0], [us.name, 3, 0]]);
  assert.equal(leaf.shown.value, '5');

  const text = await run(binary, ['explain', 'note', ...at(us)]);
  assert.equal(text.code, 0, text.stderr);
  assert.match(text.stdout, /the replicas that answered agree/);
  assert.match(text.stdout, new RegExp(`\\* ${us.name} epoch \\d+ seq \\d+ at .*Z \\+\\d+: "f`));

  const nothing = await run(binary, ['explain', 'nobody', ...at(eu)]);
  assert.equal(nothing.code, 1);
  assert.match(nothing.stderr, /no replica that answered stores anything/);
  assert.equal((await ask_json('explain', 'nobody', ...at(eu))).found, false);
  const stranger = await run(binary, ['explain', 'note', '--keyspace', 'goods', ...at(eu)]);
  assert.equal(stranger.code, 1);
  assert.match(stranger.stderr, /there is no keyspace 'goods'/);
  assert.equal((await run(binary, ['explain', ...at(eu)])).code, 2);

  // A set beyond the packed layout: the answer is bounded, one element can be asked for, and an expiry is told.
  const many = Array.from({ length: 3000 }, (_, i) => `element-${i}`);
  await eu.ask('SADD', 'big', ...many);
  await eu.ask('PEXPIRE', 'big', '1');
  await until('the expiry', async () => (await ask_json('explain', 'big', ...at(eu))).replicas[0].expired);
  const big = (await ask_json('explain', 'big', ...at(eu))).replicas.find((each) => each.node === eu.name);
  assert.equal(big.leaves.length, 100);
  assert.equal(big.leaves_left_out, 3001 - 100);
  const one = (await ask_json('explain', 'big', 'element-2999', ...at(eu))).replicas.find((each) => each.node === eu.name);
  assert.deepEqual(one.leaves.map((each) => [each.where, each.hidden]),
                   [['expiry', true], ['element "element-2999"', true]]);
}));
