// The link between the regions of `./dev up`: a TCP proxy for each node's rpc port, which the nodes of the other region
// use instead of the real one. POST /cut breaks all connections and refuses new ones, POST /heal lets them through
// again, GET / tells which. Arguments: CONTROL_PORT LISTEN:TARGET...
import http from 'node:http';
import net from 'node:net';

const [control, ...pairs] = process.argv.slice(2);
let cut = false;
const sockets = new Set();

for (const pair of pairs) {
  const [listen, target] = pair.split(':').map(Number);
  net.createServer((near) => {
    if (cut) return near.destroy();
    const far = net.connect(target, '127.0.0.1');
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    near.pipe(far).pipe(near);
  }).listen(listen, '127.0.0.1');
}

http.createServer((request, response) => {
  if (request.method === 'POST' && request.url === '/cut') {
    cut = true;
    for (const socket of sockets) socket.destroy();
  } else if (request.method === 'POST' && request.url === '/heal') {
    cut = false;
  } else if (request.method !== 'GET') {
    response.statusCode = 404;
  }
  response.end(cut ? 'cut\n' : 'up\n');
}).listen(Number(control), '127.0.0.1');
