// Sessions of a real web shop: express, express-session and connect-redis, unmodified, over three processes, one of which
// is killed while people shop.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';

import express from 'express';
import session from 'express-session';

import { until } from '../../scripts/lib/wait.mjs';
import { client_named } from './lib/clients.mjs';
import { Cluster } from './lib/cluster.mjs';
import { Load } from './lib/load.mjs';

// connect-redis 7 and 8 take both families of clients, 9 only node-redis from version 5 on.
const combinations = [
  ['connect-redis7', 'node-redis 4'], ['connect-redis7', 'ioredis 5'],
  ['connect-redis8', 'node-redis 5'], ['connect-redis8', 'ioredis 6'],
  ['connect-redis9', 'node-redis 5'], ['connect-redis9', 'node-redis 6'],
];

async function redis_store(module_name) {
  const module = await import(module_name);
  return module.RedisStore ?? module.default;
}

function shop(store) {
  const app = express();
  app.set('env', 'test');  // does not print errors
  app.use(session({ store, secret: 'a secret of the test', resave: false, saveUninitialized: false,
                    cookie: { maxAge: 600_000 } }));
  const in_session = (request, response, next) => {
    if (request.session.user) next();
    else response.status(401).json({ error: 'log in first' });
  };
  app.post('/login/:user', (request, response, next) => request.session.regenerate((error) => {
    if (error) return next(error);
    request.session.user = request.params.user;
    request.session.cart = [];
    if (request.query.seconds) request.session.cookie.maxAge = Number(request.query.seconds) * 1000;
    request.session.save((failure) => (failure ? next(failure) : response.json({ user: request.session.user })));
  }));
  app.get('/me', in_session, (request, response) => {
    response.json({ user: request.session.user, cart: request.session.cart });
  });
  app.post('/cart/:line', in_session, (request, response) => {
    request.session.cart.push(request.params.line);
    response.json({ cart: request.session.cart });
  });
  app.post('/logout', in_session, (request, response, next) => {
    request.session.destroy((error) => (error ? next(error) : response.json({})));
  });
  app.use((error, request, response, next) => {
    // A touch happens after the answer has left: nobody is there to be told.
    if (response.headersSent) return next(error);
    response.status(500).json({ error: error.message });
  });
  return app;
}

// A person with a browser: keeps the cookie. A 500 throws what the shop says, as an error that may be retried.
class Browser {
  constructor(port) { this.port = port; }
  async request(method, path) {
    const response = await fetch(`http://127.0.0.1:${this.port}${path}`, {
      method, headers: this.cookie ? { cookie: this.cookie } : {}, signal: AbortSignal.timeout(10_000),
    });
    const body = await response.json();
    if (response.status === 500) throw new Error(body.error);
    const set = response.headers.getSetCookie?.()[0] ?? response.headers.get('set-cookie');
    if (set) this.cookie = set.split(';')[0];
    return { status: response.status, body };
  }
  get session_id() { return decodeURIComponent(this.cookie.split('=')[1]).slice(2).split('.')[0]; }
}

for (const [store_module, client_name] of combinations) {
  const client = client_named(client_name);
  const name = `express-session with ${store_module.replace('redis', 'redis ')} and ${client_name}`;
  test(`${name}: log in, touch, expire, log out, a node killed in between`, { skip: client.skip, timeout: 90_000 },
       async (t) => {
    const cluster = await Cluster.start();
    const adapter = await client.open(cluster, 1);
    const RedisStore = await redis_store(store_module);
    const server = shop(new RedisStore({ client: adapter.client, prefix: 'sess:' })).listen(0, '127.0.0.1');
    try {
      await once(server, 'listening');
      const port = server.address().port;
      const ann = new Browser(port);
      assert.equal((await ann.request('GET', '/me')).status, 401);
      assert.equal((await ann.request('POST', '/login/ann')).status, 200);
      const old_id = ann.session_id;
      assert.equal((await ann.request('POST', '/login/ann')).status, 200);
      assert.notEqual(ann.session_id, old_id, 'a new login is a new session');
      for (const line of ['apples', 'bread']) await ann.request('POST', `/cart/${line}`);
      assert.deepEqual((await ann.request('GET', '/me')).body, { user: 'ann', cart: ['apples', 'bread'] });

      // Touch: any request puts the end of the session off, which is visible through every node.
      const at_node = async (node, ...command) => {
        const connection = await node.connect();
        try {
          await connection.command('SELECT', 1);
          return await connection.command(...command);
        } finally {
          connection.close();
        }
      };
      const key = `sess:${ann.session_id}`;
      assert.equal(await at_node(cluster.nodes[1], 'EXPIRE', key, 100), 1);
      await ann.request('GET', '/me');
      for (const node of cluster.nodes) assert.ok(await at_node(node, 'TTL', key) > 590, `TTL on ${node.name}`);
      assert.equal(await at_node(cluster.nodes[2], 'EXISTS', `sess:${old_id}`), 0);

      // Many people shop while the node that the shop's client talks to is killed, and comes back.
      const people = await Promise.all(Array.from({ length: 8 }, async (_, i) => {
        const browser = new Browser(port);
        await browser.request('POST', `/login/person${i}`);
        return browser;
      }));
      const short = new Browser(port);
      await short.request('POST', '/login/short?seconds=2');
      const load = new Load(t, async (n) => {
        const who = n % people.length;
        const { status, body } = await people[who].request('GET', '/me');
        assert.equal(status, 200, `person${who} was logged out`);
        assert.equal(body.user, `person${who}`);
        const guest = new Browser(port);
        assert.equal((await guest.request('POST', `/login/guest${n}`)).status, 200);
        assert.equal((await guest.request('POST', '/logout')).status, 200);
        assert.equal((await guest.request('GET', '/me')).status, 401, 'a session that ended came back');
      });
      await load.progress(40);
      await cluster.nodes[0].kill();
      await load.progress(120);
      await cluster.nodes[0].start();
      await load.progress(40);
      await load.stop();
      assert.deepEqual(load.failed, []);
      assert.deepEqual(load.reply_errors, []);

      // Asked of a node, as asking the shop would put the end off.
      await until('the short session to expire',
                  async () => (await at_node(cluster.nodes[1], 'TTL', `sess:${short.session_id}`)) === -2);
      assert.equal((await short.request('GET', '/me')).status, 401);
      assert.deepEqual((await ann.request('GET', '/me')).body, { user: 'ann', cart: ['apples', 'bread'] });
      assert.equal((await ann.request('POST', '/logout')).status, 200);
      assert.equal((await ann.request('GET', '/me')).status, 401);
      for (const node of cluster.nodes) assert.equal(await at_node(node, 'EXISTS', key), 0);
    } finally {
      adapter.close();
      server.closeAllConnections?.();
      server.close();
      await cluster.stop();
    }
  });
}
