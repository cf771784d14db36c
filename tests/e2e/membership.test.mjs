// How a cluster without a file is made, grows, shrinks and loses machines, by the commands of an operator.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import dgram from 'node:dgram';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import { pause, until } from '../../scripts/lib/wait.mjs';
import { binary, run } from './lib/cluster.mjs';
import { GrownCluster, with_grown } from './lib/grown.mjs';

const kCarts = ['carts', '--select', '0', '--replicas', 'eu=3', '--read', 'quorum', '--write', 'quorum'];
const kKeys = 1000;

async function write_keys(node, prefix) {
  const connection = await node.connect({ timeout_ms: 30_000 });
  const replies = await connection.pipeline(Array.from({ length: kKeys }, (_, i) => ['SET', `${prefix}:${i}`, `${i}`]));
  assert.deepEqual(new Set(replies), new Set(['OK']));
  connection.close();
}

async function assert_keys(node, prefix) {
  const connection = await node.connect({ timeout_ms: 30_000 });
  const replies = await connection.pipeline(Array.from({ length: kKeys }, (_, i) => ['GET', `${prefix}:${i}`]));
  connection.close();
  assert.deepEqual(replies.flatMap((value, i) => (value === `${i}` ? [] : [`${i}: ${value}`])), []);
}

test('nodes of a new cluster that start in any order form it, and the commands tell of it', { timeout: 120_000 },
     async () => {
  const cluster = new GrownCluster();
  try {
    const first = await cluster.member('eu-1', { extra: ['--bootstrap', '--partitions', '64'] });
    const later = [];
    for (const name of ['eu-2', 'us-1']) {
      const node = await cluster.member(name, { extra: ['--join', first.at()] });
      node.spawn();  // before there is a cluster
      later.push(node);
    }
    await pause(1000);
    assert.ok(later.every((node) => node.alive()));
    const unreachable = await cluster.cli(['status'], first);
    assert.equal(unreachable.code, 3, unreachable.stderr);
    first.spawn();
    await cluster.wait_ready('60s', first);

    const status = await cluster.json(['status']);
    assert.ok(status.epoch > 1);
    assert.deepEqual(status.members.map((each) => [each.name, each.region, each.state]).sort(),
                     [['eu-1', 'eu', 'up'], ['eu-2', 'eu', 'up'], ['us-1', 'us', 'up']]);
    const me = status.members.find((each) => each.name === 'eu-2');
    assert.equal(me.zone, 'b');
    assert.equal(me.addresses.rpc, later[0].at());
    assert.equal(typeof me.load.keys, 'number');
    assert.deepEqual([status.moving.arcs, typeof status.moving.bytes_done, typeof status.moving.bytes_to_do],
                     [0, 'number', 'number']);

    await cluster.ok(['keyspace', 'create', 'carts', '--select', '0', '--replicas', 'eu=2,us=1'], later[1]);
    await cluster.wait_ready();
    assert.equal(await later[1].ask('SET', 'a', '1'), 'OK');
    assert.equal(await until('the other region to have it', () => first.ask('GET', 'a')), '1');
    const ring = await cluster.json(['ring']);
    assert.equal(ring.keyspaces[0].owners.length, 64);
    assert.ok(ring.keyspaces[0].shares.every((region) => region.max_over_mean <= 1.01));
    const keyspaces = await cluster.json(['keyspaces']);
    assert.deepEqual(keyspaces.keyspaces[0].replicas, { eu: 2, us: 1 });
    assert.match(await cluster.ok(['members']), /us-1 +us +c +up/);
    assert.match(await cluster.ok(['ring']), /max\/mean 1\.0000/);

    // Wrong requests name what is wrong, and nothing changes.
    const epoch = (await cluster.status()).epoch;
    for (const [args, code, message] of [
      [['keyspace', 'create', 'x', '--select', '1', '--replicas', 'asia=1'], 1, /asia/],
      [['keyspace', 'create', 'x', '--select', '1', '--replicas', 'eu=3'], 1, /3 replicas in region 'eu'/],
      [['keyspace', 'create', 'x', '--select', '0', '--replicas', 'eu=1'], 1, /select 0/],
      [['keyspace', 'create', 'x', '--select', '1', '--replicas', 'eu'], 2, /eu=3,us=3/],
      [['keyspace', 'alter', 'nothing', '--replicas', 'eu=1'], 1, /nothing/],
      [['decommission', 'eu-9', '--yes'], 1, /eu-9/],
      [['decommission', 'us-1', '--yes'], 1, /carts/],
      [['cancel'], 1, /no change/],
    ]) {
      const result = await cluster.cli(args);
      assert.equal(result.code, code, `${args}: ${result.stderr}`);
      assert.match(result.stderr, message);
    }
    assert.equal((await cluster.status()).epoch, epoch);
    assert.equal((await run(binary, ['decommission'])).code, 2);
    assert.equal((await run(binary, ['members'])).code, 2);
  } catch (error) {
    error.message += cluster.tails();
    throw error;
  } finally {
    await cluster.stop();
  }
});

test('replicas are raised and lowered, a region is added and removed, online', { timeout: 120_000 },
     () => with_grown(['eu-1', 'eu-2', 'eu-3', 'us-1'], {
  keyspaces: [['carts', '--select', '0', '--replicas', 'eu=1']],
}, async (cluster) => {
  await write_keys(cluster.any(), 'k');
  for (const replicas of ['eu=3', 'eu=3,us=1', 'eu=2,us=1', 'us=1', 'eu=1']) {
    await cluster.ok(['keyspace', 'alter', 'carts', '--replicas', replicas]);
    await cluster.wait_ready();
    const { keyspaces } = await cluster.json(['keyspaces']);
    assert.equal(Object.entries(keyspaces[0].replicas).map((each) => each.join('=')).join(','), replicas);
    for (const node of cluster.members) await assert_keys(node, 'k');
  }
  await cluster.ok(['keyspace', 'drop', 'carts', '--yes']);
  await cluster.wait_ready();
  await assert.rejects(cluster.any().ask('GET', 'k:1'));
}));

test('a node is decommissioned, exits 0, and is refused when it comes back', { timeout: 120_000 },
     () => with_grown(['eu-1', 'eu-2', 'eu-3', 'eu-4'], { keyspaces: [kCarts] }, async (cluster) => {
  await write_keys(cluster.any(), 'k');
  const leaver = cluster.named('eu-2');
  const ended = leaver.child.ended;
  const said = await cluster.ok(['decommission', 'eu-2', '--yes']);
  assert.match(said, /eu-2 has left/);
  assert.equal((await ended).code, 0, leaver.log_tail());
  await cluster.wait_ready();
  assert.deepEqual((await cluster.status()).members.map((each) => each.name).sort(), ['eu-1', 'eu-3', 'eu-4']);
  for (const node of cluster.members.filter((each) => each.alive())) await assert_keys(node, 'k');
  leaver.spawn();
  assert.equal((await leaver.child.ended).code, 1);
  assert.match(leaver.log_tail(), /removed/);
}));

test('a crash in the midst of a change does not stop it', { timeout: 180_000 },
     () => with_grown(['eu-1', 'eu-2', 'eu-3'], { keyspaces: [kCarts] }, async (cluster) => {
  await write_keys(cluster.any(), 'k');
  const joiner = await cluster.member('eu-4', { zone: 'd', extra: ['--join', cluster.named('eu-1').at()] });
  joiner.spawn();
  // All of them, one after the other, wherever the change has got to.
  for (const name of ['eu-4', 'eu-1', 'eu-2', 'eu-3', 'eu-4']) {
    await pause(150);
    const node = cluster.named(name);
    await node.kill();
    node.spawn();
  }
  await until('all doors to be open', async () => (await Promise.all(cluster.members.map((n) => n.ask('PING')))).length);
  await cluster.wait_ready();
  for (const node of cluster.members) await assert_keys(node, 'k');
  const { keyspaces } = await cluster.json(['ring']);
  assert.equal(keyspaces[0].shares[0].nodes['eu-4'].arcs, 48);
}));

test('a dead node is replaced, a lost disk takes its place again only with --replace-dead', { timeout: 180_000 },
     () => with_grown(['eu-1', 'eu-2', 'eu-3'], { keyspaces: [kCarts] }, async (cluster) => {
  await write_keys(cluster.any(), 'k');
  const [one, , three] = cluster.members;

  // A living node cannot be replaced.
  const early = await cluster.member('eu-8', {});
  early.command = ['replace', 'eu-3', '--join', one.at()];
  early.spawn();
  assert.equal((await early.child.ended).code, 1);
  assert.match(early.log_tail(), /eu-3.*alive/);

  // Its disk is lost: refused, with the way out named.
  await three.kill();
  fs.rmSync(three.data_dir, { recursive: true });
  three.extra = ['--join', one.at()];
  three.spawn();
  assert.equal((await three.child.ended).code, 1);
  assert.match(three.log_tail(), /cartwheel replace eu-3/);
  await cluster.await_state('eu-3', 'down');
  three.extra = ['--join', one.at(), '--replace-dead'];
  three.spawn();
  await three.ready();
  await cluster.wait_ready();
  await assert_keys(three, 'k');

  // And by another machine.
  await three.kill();
  await cluster.await_state('eu-3', 'down');
  early.command = ['replace', 'eu-3', '--join', one.at()];
  early.spawn();
  await early.ready();
  await cluster.wait_ready();
  assert.deepEqual((await cluster.status()).members.map((each) => each.name).sort(), ['eu-1', 'eu-2', 'eu-8']);
  await assert_keys(early, 'k');
  three.extra = [];
  three.spawn();
  assert.equal((await three.child.ended).code, 1);
  assert.match(three.log_tail(), /no member|removed/);
}));

test('a dead node is removed by decommission --dead, a change is cancelled', { timeout: 120_000 },
     () => with_grown(['eu-1', 'eu-2', 'eu-3', 'eu-4'], { keyspaces: [kCarts] }, async (cluster) => {
  await write_keys(cluster.any(), 'k');
  const alive = await cluster.cli(['decommission', 'eu-4', '--dead', '--yes']);
  assert.equal(alive.code, 1);
  assert.match(alive.stderr, /alive/);
  await cluster.named('eu-4').kill();
  await cluster.await_state('eu-4', 'down');
  const sick = await cluster.cli(['status']);
  assert.equal(sick.code, 4, sick.stdout);
  // Without --dead it would wait for what a dead node has to hand over; so that is given up.
  const leave = await cluster.ok(['leave', 'eu-4', '--yes']);
  assert.match(leave, /epoch/);
  assert.equal((await cluster.cli(['wait', '--ready', '--timeout', '2s'])).code, 4);
  await cluster.ok(['cancel']);
  await cluster.ok(['decommission', 'eu-4', '--dead', '--yes']);
  await cluster.wait_ready();
  for (const node of cluster.members.filter((each) => each.alive())) await assert_keys(node, 'k');
}));

test('identity survives a change of address', { timeout: 120_000 },
     () => with_grown(['eu-1', 'eu-2', 'eu-3'], { keyspaces: [kCarts] }, async (cluster) => {
  await write_keys(cluster.any(), 'k');
  const moved = cluster.named('eu-2');
  await moved.kill();
  const elsewhere = await cluster.member('eu-9');  // only for its ports
  for (const door of ['rpc', 'resp', 'http']) moved[door] = elsewhere[door];
  cluster.members.pop();
  moved.extra = [];  // its directory says who it is, and whom to ask
  moved.spawn();
  await moved.ready();
  await cluster.wait_ready();
  const member = (await cluster.status(cluster.named('eu-1'))).members.find((each) => each.name === 'eu-2');
  assert.equal(member.addresses.rpc, moved.at());
  await assert_keys(moved, 'k');
  // All at once: nobody is where it was, but for one that is named.
  for (const node of cluster.members) await node.kill();
  for (const node of cluster.members) {
    const ports = await cluster.member('eu-x');
    for (const door of ['rpc', 'resp', 'http']) node[door] = ports[door];
    cluster.members.pop();
  }
  for (const node of cluster.members) {
    node.extra = cluster.members.filter((each) => each !== node).flatMap((each) => ['--join', each.at()]);
    node.spawn();
  }
  await Promise.all(cluster.members.map((node) => node.ready()));
  await cluster.wait_ready();
  for (const node of cluster.members) await assert_keys(node, 'k');
}));

test('strangers: a wrong cluster, a wrong key, a taken name, foreign datagrams', { timeout: 120_000 }, async () => {
  const folder = fs.mkdtempSync('/tmp/cartwheel-keys-');
  const key_file = path.join(folder, 'keys');
  fs.writeFileSync(key_file, `# the key\n${crypto.randomBytes(32).toString('hex')}\n`);
  try {
    await with_grown(['eu-1', 'eu-2', 'eu-3'], { keyspaces: [kCarts], key_file }, async (cluster) => {
      const [one, two] = cluster.members;
      const refused = async (flags, message) => {
        const node = await cluster.member('eu-7', { extra: ['--join', one.at()] });
        const args = node.arguments();
        for (const [flag, value] of flags) args[args.indexOf(flag) + 1] = value;
        const result = await run(binary, args, { timeout_ms: 20_000 });
        assert.equal(result.code, 1, result.stderr);
        assert.match(result.stderr, message);
        cluster.members.pop();
      };
      await refused([['--name', 'eu-2']], /eu-2/);
      // Foreign datagrams get no answer and change nothing.
      const socket = dgram.createSocket('udp4');
      let answers = 0;
      socket.on('message', () => { answers += 1; });
      for (let i = 0; i < 2000; ++i) {
        socket.send(crypto.randomBytes(1 + crypto.randomInt(1400)), one.rpc.port, one.rpc.host);
        if (i % 50 === 0) await pause(1);
      }
      await pause(300);
      socket.close();
      assert.equal(answers, 0);
      // A node with another key is dead to gossip, and says so; the others are well.
      await two.kill();
      const other = path.join(folder, 'other');
      fs.writeFileSync(other, `${crypto.randomBytes(32).toString('base64')}\n`);
      two.extra = ['--cluster-key-file', other];
      two.spawn();
      await two.ready();
      await cluster.await_state('eu-2', 'down');
      await two.kill();
      two.extra = ['--cluster-key-file', key_file];
      two.spawn();
      await cluster.wait_ready();
      // A key file that is none names the line.
      fs.writeFileSync(other, 'not a key\n');
      const bad = await run(binary, [...two.arguments().slice(0, -1), other], { timeout_ms: 20_000 });
      assert.notEqual(bad.code, 0);
      assert.match(bad.stderr, /line 1/);
    });
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
});
