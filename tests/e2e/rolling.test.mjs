// A rolling restart under load: one node after the other is told to stop, and started again. Nothing may be lost, and who
// connects again when a connection closes, to a node that is not being restarted, sees no error.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { pause } from '../../scripts/lib/wait.mjs';
import { with_grown } from './lib/grown.mjs';
import { Load, lost_writes } from './lib/paced_load.mjs';

test('a rolling restart under load loses nothing, and no request fails', { timeout: 120_000 },
     (t) => with_grown(['eu-1', 'eu-2', 'eu-3', 'eu-4'], {
  keyspaces: [['carts', '--select', '0', '--replicas', 'eu=3', '--read', 'quorum', '--write', 'quorum']],
}, async (cluster) => {
  const load = new Load();
  t.after(() => load.kill());
  load.use(cluster.members);
  await pause(1_000);
  load.tell({ phase: 'restarts' });
  for (const node of cluster.members) {
    load.use(cluster.members.filter((each) => each !== node));
    const { code, ms } = await node.terminate();
    console.log(`${node.name} stopped in ${ms.toFixed(0)} ms`);
    assert.equal(code, 0, node.log_tail());
    await node.start();
    await cluster.wait_ready();
    load.use(cluster.members);
  }
  const state = await load.stop();
  for (const node of cluster.members) {
    const lost = await lost_writes(node, state);
    assert.equal(lost.length, 0, `${node.name} lost ${lost.length}: ${lost.slice(0, 5)}`);
    assert.deepEqual(await node.metrics(['cartwheel_replication_unknown_messages_total']), [0], node.name);
  }
  assert.ok(state.phases.restarts.length > 1_000);
  assert.deepEqual(state.errors, []);
}));
