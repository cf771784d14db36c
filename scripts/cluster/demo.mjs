// ./dev demo: the story of two regions, told against a running cluster, with what is expected beside what is seen.
import { link, node, nodes, pid_of, ready, running, start_node, status, stop, up, down } from './cluster.mjs';
import { RespConnection } from '../lib/resp.mjs';
import { until } from '../lib/wait.mjs';

let failed = 0;
const show = (value) => JSON.stringify(value);

function check(what, expected, saw) {
  const ok = show(expected) === show(saw);
  if (!ok) failed += 1;
  console.log(`  ${ok ? 'ok  ' : 'FAIL'} ${what}\n         expected ${show(expected)}\n         saw      ${show(saw)}`);
}

const connect = (name) => RespConnection.connect({ host: '127.0.0.1', port: node(name).resp }, { timeout_ms: 8000 });

async function on(name, database, ...commands) {
  const connection = await connect(name);
  try {
    if (database) await connection.command('SELECT', database);
    const replies = [];
    for (const command of commands) replies.push(await connection.command(...command));
    return replies.at(-1);
  } finally {
    connection.close();
  }
}

async function hash(name, key) {
  const flat = await on(name, 0, ['HGETALL', key]);
  const pairs = [];
  for (let i = 0; i < flat.length; i += 2) pairs.push([flat[i], flat[i + 1]]);
  return Object.fromEntries(pairs.sort());
}

// Polls until all six nodes answer alike, and returns the answer.
async function everywhere(what, ask) {
  let answers = [];
  await until(what, async () => {
    answers = await Promise.all(nodes.map((n) => ask(n.name)));
    return answers.every((a) => show(a) === show(answers[0]));
  }, { describe: () => show(answers) });
  return answers[0];
}

const started = running().length === 0;
if (started) {
  console.log('starting a cluster of two regions');
  await up();
}

console.log('\n1. A cart is written in region eu and read in region us.');
await on('eu-1', 0, ['DEL', 'cart:7'], ['HSET', 'cart:7', 'apples', '1', 'pears', '5']);
check('eu-1 wrote it, us-3 has it', { apples: '1', pears: '5' }, await (async () => {
  await until('the cart in us', async () => (await on('us-3', 0, ['HLEN', 'cart:7'])) === 2);
  return hash('us-3', 'cart:7');
})());

console.log('\n2. The link between the regions is cut. The same cart is edited on both sides.');
await link('cut');
await on('eu-2', 0, ['HINCRBY', 'cart:7', 'apples', '2'], ['HDEL', 'cart:7', 'pears'], ['HSET', 'cart:7', 'bread', '1']);
await on('us-1', 0, ['HINCRBY', 'cart:7', 'apples', '3'], ['HSET', 'cart:7', 'plums', '9']);
check('eu sees its own edits', { apples: '3', bread: '1' }, await hash('eu-3', 'cart:7'));
check('us sees its own edits', { apples: '4', pears: '5', plums: '9' }, await hash('us-2', 'cart:7'));

console.log('\n3. The link heals. Nothing is lost, nothing counts twice, the removed pears stay removed.');
await link('heal');
check('all six nodes agree', { apples: '6', bread: '1', plums: '9' }, await (async () => {
  await until('both edits everywhere', async () => (await hash('us-2', 'cart:7')).bread === '1' && (await hash('eu-3', 'cart:7')).plums === '9');
  return everywhere('the cart to be equal', (name) => hash(name, 'cart:7'));
})());

console.log('\n4. A session is written in eu and read in us; a log-out in us ends it in eu.');
await on('eu-1', 1, ['SET', 'sess:a', '{"user":7}', 'EX', '1800']);
await until('the session in us', async () => (await on('us-1', 1, ['GET', 'sess:a'])) !== null);
check('us-1 reads it', '{"user":7}', await on('us-1', 1, ['GET', 'sess:a']));
await on('us-2', 1, ['DEL', 'sess:a']);
await until('the log-out in eu', async () => (await on('eu-3', 1, ['GET', 'sess:a'])) === null);
check('eu-3 does not have it any more', null, await on('eu-3', 1, ['GET', 'sess:a']));

console.log('\n5. A node is killed (-9) under load. The load goes on at its neighbours, and is counted.');
await on('eu-1', 0, ['DEL', 'stock', 'lines']);
const total = 3000;
let acknowledged = 0, retried = 0;
const added = new Set();
async function shopper(id) {
  const homes = ['eu-1', 'eu-2', 'eu-3'];
  let home = id % 3, connection = await connect(homes[home]);
  for (let i = id; i < total; i += 10) {
    for (;;) {
      try {
        await connection.command('SADD', 'lines', `line-${i}`);
        acknowledged += 1;
        added.add(`line-${i}`);
        break;
      } catch {
        retried += 1;
        connection.close();
        home += 1;
        connection = await connect(homes[home % 3]).catch(() => connect(homes[(home + 1) % 3]));
      }
    }
    if (i === 1003) await stop('eu-3', 'SIGKILL');
  }
  connection.close();
}
await Promise.all(Array.from({ length: 10 }, (_, id) => shopper(id)));
check('every line is acknowledged', total, acknowledged);
console.log(`       ${retried} requests failed with the node and were sent again to a neighbour`);
check('eu-1 has every line', total, await on('eu-1', 0, ['SCARD', 'lines']));
console.log('   eu-3 starts again.');
start_node('eu-3');
await ready('eu-3');

console.log('\n6. All regions are equal.');
const size = await everywhere('the lines to be equal', (name) => on(name, 0, ['SCARD', 'lines']));
check('all six nodes have every line', total, size);
const members = await everywhere('the members to be equal', async (name) => (await on(name, 0, ['SMEMBERS', 'lines'])).sort().join());
check('and the same ones', [...added].sort().join() === members, true);
console.log(`\n${status().stdout}`);

if (started) {
  console.log('stopping the cluster');
  await down();
}
console.log(failed === 0 ? 'the story went as expected' : `${failed} steps did not go as expected`);
process.exit(failed === 0 && nodes.every((n) => started || pid_of(n.name))? 0 : 1);
