// Bounded waiting for scripts and tests: nothing sleeps for a guessed time, everything polls with a limit.

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Polls until `probe` returns something truthy, and returns it. After `timeout_ms` it throws and tells what the last try
// saw: an error, or whatever `describe` says.
export async function until(what, probe, { timeout_ms = 20_000, every_ms = 25, describe = () => '' } = {}) {
  const deadline = performance.now() + timeout_ms;
  let last = '';
  for (;;) {
    try {
      const value = await probe();
      if (value) return value;
      last = describe();
    } catch (error) {
      last = error.message;
    }
    if (performance.now() > deadline) {
      throw new Error(`waited ${timeout_ms} ms for ${what}${last ? `; last: ${last}` : ''}`);
    }
    await pause(every_ms);
  }
}

// GET over HTTP: {status, body}. Throws when the server cannot be reached within the time.
export async function http_get(address, path, timeout_ms = 2000) {
  const response = await fetch(`http://${address.host}:${address.port}${path}`,
                               { signal: AbortSignal.timeout(timeout_ms), headers: { connection: 'close' } });
  return { status: response.status, body: await response.text(), headers: response.headers };
}
