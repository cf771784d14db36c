// The command line tools of Redis, unmodified, against three processes.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Cluster, run } from './lib/cluster.mjs';

let cluster;
before(async () => { cluster = await Cluster.start(); });
after(() => cluster?.stop());

const redis_cli = (node, args, options) =>
  run('redis-cli', ['-h', node.resp.host, '-p', String(node.resp.port), ...args], options);

test('redis-cli: commands, replies and errors look as they do with Redis', async () => {
  const [first, second] = cluster.nodes;
  const says = async (node, args, expected) => {
    const { stdout, stderr, code } = await redis_cli(node, args);
    assert.equal(stdout.trim(), expected, `redis-cli ${args.join(' ')}: ${stderr}`);
    assert.equal(code, 0);
  };
  await says(first, ['PING'], 'PONG');
  await says(first, ['SET', 'greeting', 'hello'], 'OK');
  await says(second, ['GET', 'greeting'], 'hello');
  await says(first, ['HSET', 'cart', 'apples', '2', 'bread', '1'], '2');
  await says(second, ['HINCRBY', 'cart', 'apples', '3'], '5');
  await says(first, ['HGET', 'cart', 'apples'], '5');
  await says(first, ['-3', 'HGETALL', 'nothing'], '');
  await says(first, ['--no-raw', 'GET', 'nothing'], '(nil)');
  await says(first, ['-n', '1', 'GET', 'greeting'], '');
  await says(first, ['TYPE', 'cart'], 'hash');
  assert.match((await redis_cli(first, ['HSET', 'greeting', 'a', 'b'])).stdout, /^WRONGTYPE /);
  assert.match((await redis_cli(first, ['FROBNICATE', 'x'])).stdout, /^ERR unknown command 'FROBNICATE'/);
  assert.match((await redis_cli(first, ['SET', 'lock', '1', 'NX'])).stdout, /^ERR .*NX/);
  assert.match((await redis_cli(first, ['GET'])).stdout, /^ERR wrong number of arguments for 'get' command/);
  assert.match((await redis_cli(first, ['INFO'])).stdout, /redis_version:7\./);
});

test('redis-cli: many commands from standard input, RESP3, --scan', async () => {
  const [first, second, third] = cluster.nodes;
  const input = Array.from({ length: 1000 }, (_, i) => `SET scan:${i} ${i}`).join('\n');
  const written = await redis_cli(first, [], { input });
  assert.equal(written.stdout.trim().split('\n').filter((line) => line === 'OK').length, 1000);
  const scanned = await redis_cli(second, ['--scan', '--pattern', 'scan:*']);
  assert.equal(new Set(scanned.stdout.trim().split('\n')).size, 1000);
  const resp3 = await redis_cli(third, ['-3', '--no-raw', 'HSET', 'typed', 'a', '1']);
  assert.equal(resp3.stdout.trim(), '(integer) 1');
  assert.match((await redis_cli(third, ['-3', '--no-raw', 'HGETALL', 'typed'])).stdout, /1# "a" => "1"/);
});

for (const pipeline of [1, 16]) {
  test(`redis-benchmark: pipelines of ${pipeline} end without errors`, { timeout: 120_000 }, async () => {
    const { host, port } = cluster.nodes[0].resp;
    const result = await run('redis-benchmark', ['-h', host, '-p', String(port), '-t', 'ping,set,get,incr,sadd,hset',
                                                 '-n', '20000', '-c', '20', '-P', String(pipeline), '-r', '1000', '--csv'],
                             { timeout_ms: 110_000 });
    assert.equal(result.code, 0, result.stderr);
    assert.doesNotMatch(result.stdout + result.stderr, /error|ERR/i);
    const rows = result.stdout.trim().split('\n').slice(1).map((line) => JSON.parse(`[${line}]`));
    assert.deepEqual(rows.map(([name]) => name), ['PING_INLINE', 'PING_MBULK', 'SET', 'GET', 'INCR', 'SADD', 'HSET']);
    for (const [name, rate] of rows) assert.ok(Number(rate) > 0, `${name}: ${rate}`);
  });
}
