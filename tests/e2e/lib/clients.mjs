// The clients of the tests, unmodified and set up as their users would: each knows all nodes and goes to the next one when
// a connection is lost. `open(cluster, database)` gives an adapter with one name per operation.
import { lookup_of } from './cluster.mjs';

const kReconnectMs = 20;

// The name is one that resolves everywhere: node-redis 6 also looks it up itself, to tell what kind of address it is.
// Without its offline queue: what node-redis 5 and 6 queue in the turn in which a connection breaks can be written to the
// broken one. Its answer never comes, so that the answers of the next connection go to the wrong requests, and the client
// waits for ever (docs/resp.md). What is asked for while there is no connection is refused, and the test's load asks again.
async function open_node_redis(module_name, cluster, database) {
  const { createClient } = await import(module_name);
  const client = createClient({
    socket: {
      host: 'localhost', port: cluster.resp_port, lookup: lookup_of(cluster.hosts),
      reconnectStrategy: () => kReconnectMs, connectTimeout: 2000,
    },
    database, disableOfflineQueue: true,
  });
  client.on('error', () => {});  // it reconnects; without a listener the process would end
  await client.connect();
  return {
    client,
    set: (key, value, seconds) => client.set(key, value, seconds ? { EX: seconds } : {}),
    get: (key) => client.get(key),
    mget: (keys) => client.mGet(keys),
    del: (key) => client.del(key),
    incr: (key) => client.incr(key),
    expire: async (key, seconds) => Number(await client.expire(key, seconds)),
    ttl: (key) => client.ttl(key),
    hset: (key, field, value) => client.hSet(key, field, value),
    hgetall: async (key) => ({ ...(await client.hGetAll(key)) }),
    hincrby: (key, field, by) => client.hIncrBy(key, field, by),
    hdel: (key, field) => client.hDel(key, field),
    sadd: (key, members) => client.sAdd(key, members),
    smembers: async (key) => [...(await client.sMembers(key))],
    pipeline: (pairs) => Promise.all(pairs.map(([key, value]) => client.set(key, value))),
    async scan(match) {
      const keys = [];
      // Up to version 4 the iterator gives keys, from 5 on pages of keys.
      for await (const page of client.scanIterator({ MATCH: match, COUNT: 100 })) keys.push(...[page].flat());
      return keys;
    },
    close: () => (client.destroy ? client.destroy() : client.disconnect()),
  };
}

// ioredis resends what was in flight on the next connection.
async function open_ioredis(module_name, cluster, database) {
  const { Redis } = await import(module_name);
  let node = 0;
  const client = new Redis({
    host: cluster.hosts[0], port: cluster.resp_port, db: database, connectTimeout: 2000,
    retryStrategy: () => {
      node = (node + 1) % cluster.hosts.length;
      client.options.host = cluster.hosts[node];
      return kReconnectMs;
    },
  });
  client.on('error', () => {});
  await client.ping();
  return {
    client,
    set: (key, value, seconds) => (seconds ? client.set(key, value, 'EX', seconds) : client.set(key, value)),
    get: (key) => client.get(key),
    mget: (keys) => client.mget(keys),
    del: (key) => client.del(key),
    incr: (key) => client.incr(key),
    expire: (key, seconds) => client.expire(key, seconds),
    ttl: (key) => client.ttl(key),
    hset: (key, field, value) => client.hset(key, field, value),
    hgetall: (key) => client.hgetall(key),
    hincrby: (key, field, by) => client.hincrby(key, field, by),
    hdel: (key, field) => client.hdel(key, field),
    sadd: (key, members) => client.sadd(key, ...members),
    smembers: async (key) => [...(await client.smembers(key))],
    async pipeline(pairs) {
      const pipeline = client.pipeline();
      for (const [key, value] of pairs) pipeline.set(key, value);
      const results = await pipeline.exec();
      for (const [error] of results) if (error) throw error;
      return results.map(([, value]) => value);
    },
    async scan(match) {
      const keys = [];
      for await (const page of client.scanStream({ match, count: 100 })) keys.push(...page);
      return keys;
    },
    close: () => client.disconnect(),
  };
}

const node_major = Number(process.versions.node.split('.')[0]);

export const clients = [
  { name: 'ioredis 5', open: open_ioredis.bind(null, 'ioredis5'), min_node: 12 },
  { name: 'ioredis 6', open: open_ioredis.bind(null, 'ioredis6'), min_node: 20 },
  { name: 'node-redis 4', open: open_node_redis.bind(null, 'redis4'), min_node: 14 },
  { name: 'node-redis 5', open: open_node_redis.bind(null, 'redis5'), min_node: 18 },
  { name: 'node-redis 6', open: open_node_redis.bind(null, 'redis'), min_node: 20 },
].map((client) => ({
  ...client,
  skip: node_major < client.min_node ? `${client.name} needs Node.js ${client.min_node}` : false,
}));

export const client_named = (name) => clients.find((client) => client.name === name);
