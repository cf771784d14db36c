// Bytes as no client library would send them: fragments, floods, garbage and lies. A node answers clearly or closes the
// connection, and goes on serving.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import net from 'node:net';
import { after, afterEach, before, test } from 'node:test';

import { RespConnection, encode } from '../../scripts/lib/resp.mjs';
import { http_get, pause, until } from '../../scripts/lib/wait.mjs';
import { Cluster } from './lib/cluster.mjs';

let cluster;
let node;
before(async () => {
  cluster = await Cluster.start();
  node = cluster.nodes[0];
});
after(() => cluster?.stop());
afterEach(async () => {
  for (const one of cluster.nodes) {
    assert.ok(one.alive(), `${one.name} died:\n${one.log_tail()}`);
    assert.equal(await one.ask('PING'), 'PONG');
  }
});

// Sends bytes and collects what comes back until the other side closes, `enough` is satisfied or the time is over.
function exchange(address, bytes, { enough = () => false, timeout_ms = 3000, end = false } = {}) {
  return new Promise((resolve) => {
    const socket = net.connect(address);
    let received = '';
    const finish = (closed) => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ received, closed });
    };
    const timer = setTimeout(() => finish(false), timeout_ms);
    socket.on('connect', () => (end ? socket.end(bytes) : socket.write(bytes)));
    socket.on('data', (data) => {
      received += data.toString('latin1');
      if (enough(received)) finish(false);
    });
    socket.on('error', () => {});
    socket.on('close', () => finish(true));
  });
}

test('keys, fields and values are any bytes', async () => {
  const connection = await node.connect({ text: false });
  const every_byte = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  const key = Buffer.concat([Buffer.from('k\r\n\0*$'), every_byte]);
  assert.equal(await connection.command('SET', key, every_byte), 'OK');
  assert.deepEqual(await connection.command('GET', key), every_byte);
  assert.equal(await connection.command('HSET', Buffer.from([0]), every_byte, Buffer.alloc(0)), 1);
  assert.deepEqual(await connection.command('HGETALL', Buffer.from([0])), [every_byte, Buffer.alloc(0)]);
  const big = crypto.randomBytes(512 * 1024);
  assert.equal(await connection.command('SET', 'big', big), 'OK');
  connection.close();
  const other = await cluster.nodes[2].connect({ text: false });
  assert.deepEqual(await other.command('GET', key), every_byte);
  assert.deepEqual(await other.command('GET', 'big'), big);
  other.close();
});

test('a pipeline of 20,000 commands in one write is answered in order', async () => {
  const connection = await node.connect({ timeout_ms: 30_000 });
  const commands = [];
  for (let i = 0; i < 10_000; ++i) commands.push(['SET', `p:${i % 500}`, i], ['GET', `p:${i % 500}`]);
  const replies = await connection.pipeline(commands);
  for (let i = 0; i < 10_000; ++i) {
    assert.equal(replies[2 * i], 'OK');
    assert.equal(replies[2 * i + 1], String(i));
  }
  connection.close();
});

test('a client that sends all its commands before it reads gets every reply, however large they are together', async () => {
  const connection = await RespConnection.connect(node.resp);
  const value = 'x'.repeat(1024);
  await connection.pipeline(Array.from({ length: 100 }, (_, i) => ['SET', `large:${i}`, value]));
  // More than what a connection holds back for its client, several times over; nothing is sent after it.
  const replies = await connection.pipeline(Array.from({ length: 6000 }, (_, i) => ['GET', `large:${i % 100}`]));
  assert.equal(replies.length, 6000);
  assert.ok(replies.every((reply) => reply === value));
  connection.close();
});

test('commands cut at every byte are put together again', async () => {
  const connection = await node.connect();
  const bytes = Buffer.concat([encode(['SET', 'cut', 'a\r\nb']), Buffer.from('PING\r\n'), encode(['GET', 'cut'])]);
  const replies = [connection.reply(), connection.reply(), connection.reply()];
  for (const byte of bytes) {
    connection.write(Buffer.from([byte]));
    await pause(1);
  }
  assert.deepEqual(await Promise.all(replies), ['OK', 'PONG', 'a\r\nb']);
  for (let cut = 1; cut < bytes.length; ++cut) {
    const again = [connection.reply(), connection.reply(), connection.reply()];
    connection.write(bytes.subarray(0, cut));
    await new Promise(setImmediate);
    connection.write(bytes.subarray(cut));
    assert.deepEqual(await Promise.all(again), ['OK', 'PONG', 'a\r\nb'], `cut at ${cut}`);
  }
  connection.close();
});

test('lengths that lie are a protocol error and cost no memory', async () => {
  const before_bytes = node.resident_bytes();
  const lies = ['*1000000000\r\n', '*1\r\n$9999999999\r\n', '*2147483648\r\n', '*1\r\n$-1\r\n',
                '*99999999999999999999\r\n', '*x\r\n', '*1\r\n:5\r\n'];
  for (const lie of lies) {
    const { received, closed } = await exchange(node.resp, lie);
    assert.ok(closed, `the connection stays open after ${JSON.stringify(lie)}: ${received}`);
    assert.match(received, /^-ERR Protocol error/, JSON.stringify(lie));
  }
  // Many claims that are not over the limit, but never kept.
  const sockets = Array.from({ length: 50 }, () => {
    const socket = net.connect(node.resp);
    socket.on('error', () => {});
    socket.write('*100000\r\n$400000\r\nabc');
    return socket;
  });
  await until('the claims to be read', async () => (await node.ask('PING')) === 'PONG');
  const grown = node.resident_bytes() - before_bytes;
  for (const socket of sockets) socket.destroy();
  assert.ok(grown < 64 << 20, `the node grew by ${grown} bytes`);
});

test('a line without end is refused', async () => {
  const { received, closed } = await exchange(node.resp, Buffer.alloc(4 << 20, 'a'), { timeout_ms: 10_000 });
  assert.ok(closed);
  assert.match(received, /^(-ERR |$)/);
});

test('random bytes on every port end in an error or a closed connection', async () => {
  const seed = crypto.randomInt(1 << 30);
  const stream = crypto.createCipheriv('aes-128-ctr', Buffer.alloc(16, String(seed)), Buffer.alloc(16));
  const random = (bytes) => stream.update(Buffer.alloc(bytes));
  const well_known = ['GET / HTTP/1.1\r\nHost: a\r\n\r\n', '*1\r\n$4\r\nPING\r\n', '\x16\x03\x01\x02\x00\x01\x00', '\r\n\r\n',
                      '\x00\x00\x00\x00', '\xff\xff\xff\xff\xff\xff\xff\xff'];
  for (const door of ['resp', 'rpc', 'http']) {
    const tries = [];
    for (let i = 0; i < 40; ++i) tries.push(exchange(node[door], random(1 + (i * 97) % 4000), { end: true, timeout_ms: 8000 }));
    for (const text of well_known) {
      tries.push(exchange(node[door], Buffer.from(text, 'latin1'), { end: true, timeout_ms: 8000 }));
    }
    for (const [i, { closed }] of (await Promise.all(tries)).entries()) {
      assert.ok(closed, `${door} keeps connection ${i} open after the client ended it (seed ${seed})`);
    }
    assert.ok(node.alive(), `${door} (seed ${seed}):\n${node.log_tail()}`);
  }
});

test('HTTP: what is not a request gets 400, too long a header is refused, an unknown path is 404', async () => {
  const head = (reply) => reply.received.split('\r\n')[0];
  assert.match(head(await exchange(node.http, 'NOT HTTP AT ALL\r\n\r\n')), /^HTTP\/1\.1 400 /);
  assert.match(head(await exchange(node.http, `GET / HTTP/1.1\r\nx: ${'y'.repeat(200_000)}\r\n\r\n`)), /^(HTTP\/1\.1 4\d\d |$)/);
  assert.match(head(await exchange(node.http, 'GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n')),
               /^HTTP\/1\.1 400 /);
  assert.equal((await http_get(node.http, '/nowhere')).status, 404);
});

test('300 connections at once are all served', async () => {
  const connections = await Promise.all(Array.from({ length: 300 }, () => node.connect({ timeout_ms: 15_000 })));
  const replies = await Promise.all(connections.map((connection, i) => connection.command('SET', `many:${i}`, i)));
  assert.deepEqual(replies, connections.map(() => 'OK'));
  for (const connection of connections) connection.close();
  await until('the connections to be gone', async () => {
    const { body } = await http_get(node.http, '/metrics');
    const open = /^cartwheel_door_connections\{door="resp"\} (\d+)/m.exec(body);
    return open !== null && Number(open[1]) < 50;
  }, { timeout_ms: 5000 });
});
