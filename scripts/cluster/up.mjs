// ./dev up [--detach] and ./dev down.
import { down, nodes, running, status, up } from './cluster.mjs';

const verb = process.argv[2];

if (verb === 'down') {
  const stopped = running();
  await down();
  console.log(stopped.length === 0 ? 'nothing was running' : `stopped ${stopped.join(', ')}`);
} else {
  if (running().length > 0) {
    console.error(`already running: ${running().join(', ')}; ./dev down stops it`);
    process.exit(1);
  }
  try {
    await up();
  } catch (error) {
    console.error(error.message);
    await down();
    process.exit(1);
  }
  console.log(`Six nodes in two regions serve carts (database 0) and sessions (database 1).

  redis-cli -p ${nodes[0].resp}          a node of region eu    (6401, 6402, 6403)
  redis-cli -p ${nodes[3].resp}          a node of region us    (6404, 6405, 6406)
  http://127.0.0.1:8101/metrics  and /readyz, /livez, /v1/status on 8101-8106
  ./dev demo                     tells the story against this cluster
  logs and data                  build/up/
`);
  if (process.argv.includes('--detach')) {
    console.log('./dev down stops it.');
  } else {
    const show = () => {
      const text = status().stdout;
      if (process.stdout.isTTY) process.stdout.write('\x1b[s');
      process.stdout.write(text);
      if (process.stdout.isTTY) process.stdout.write(`\x1b[${text.split('\n').length - 1}A`);
    };
    show();
    const timer = setInterval(show, process.stdout.isTTY ? 1000 : 10_000);
    for (const signal of ['SIGINT', 'SIGTERM']) {
      process.once(signal, async () => {
        clearInterval(timer);
        if (process.stdout.isTTY) process.stdout.write(`${'\n'.repeat(12)}`);
        console.log('stopping');
        await down();
        process.exit(0);
      });
    }
  }
}
