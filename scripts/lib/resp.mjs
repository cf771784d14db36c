// A small RESP2 client for scripts and tests that need the bytes themselves; real clients are tested as they are.
//
// Bulk strings come back as Buffers (`text: true`, the default, makes them strings), error replies as ReplyError.
// Replies come in the order of the commands. A connection that breaks rejects everything that is waiting.
import net from 'node:net';

export class ReplyError extends Error {}

// The bytes of one command.
export function encode(args) {
  const parts = [Buffer.from(`*${args.length}\r\n`)];
  for (const arg of args) {
    const bytes = Buffer.isBuffer(arg) ? arg : Buffer.from(String(arg));
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'));
  }
  return Buffer.concat(parts);
}

// One reply at `offset`: {value, end}, or null when it is not complete.
function parse(buffer, offset, text) {
  const line_end = buffer.indexOf('\r\n', offset);
  if (line_end < 0) return null;
  const line = buffer.toString('latin1', offset + 1, line_end);
  const after = line_end + 2;
  switch (String.fromCharCode(buffer[offset])) {
    case '+': return { value: line, end: after };
    case '-': return { value: new ReplyError(line), end: after };
    case ':': return { value: Number(line), end: after };
    case '_': return { value: null, end: after };
    case '$': {
      const length = Number(line);
      if (length < 0) return { value: null, end: after };
      if (buffer.length < after + length + 2) return null;
      const bytes = buffer.subarray(after, after + length);
      return { value: text ? bytes.toString() : Buffer.from(bytes), end: after + length + 2 };
    }
    case '*': {
      const count = Number(line);
      if (count < 0) return { value: null, end: after };
      const value = [];
      let end = after;
      for (let i = 0; i < count; ++i) {
        const item = parse(buffer, end, text);
        if (!item) return null;
        value.push(item.value);
        end = item.end;
      }
      return { value, end };
    }
    default: throw new Error(`not a reply: ${JSON.stringify(buffer.toString('latin1', offset, offset + 40))}`);
  }
}

export class RespConnection {
  #socket;
  #waiting = [];
  #received = Buffer.alloc(0);
  #timeout_ms;
  #text;

  static connect({ host, port }, { timeout_ms = 5000, text = true } = {}) {
    return new Promise((resolve, reject) => {
      const socket = net.connect({ host, port, noDelay: true });
      socket.setTimeout(timeout_ms, () => socket.destroy(new Error(`no connection to ${host}:${port} in time`)));
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.setTimeout(0);
        socket.off('error', reject);
        resolve(new RespConnection(socket, timeout_ms, text));
      });
    });
  }

  constructor(socket, timeout_ms, text) {
    this.#socket = socket;
    this.#timeout_ms = timeout_ms;
    this.#text = text;
    this.closed = false;
    socket.on('data', (bytes) => this.#on_data(bytes));
    socket.on('error', (error) => this.#broken(error));
    socket.on('close', () => this.#broken(new Error('connection closed')));
  }

  #on_data(bytes) {
    this.#received = this.#received.length ? Buffer.concat([this.#received, bytes]) : bytes;
    let offset = 0;
    try {
      while (offset < this.#received.length) {
        const reply = parse(this.#received, offset, this.#text);
        if (!reply) break;
        offset = reply.end;
        this.#waiting.shift()?.(reply.value);
      }
    } catch (error) {
      this.#socket.destroy(error);
    }
    this.#received = this.#received.subarray(offset);
  }

  #broken(error) {
    this.closed = true;
    for (const settle of this.#waiting.splice(0)) settle(error);
  }

  // Sends bytes as they are.
  write(bytes) { this.#socket.write(bytes); }

  // The next reply that nobody waits for yet; an error reply is a value here, a broken connection rejects.
  reply() {
    return new Promise((resolve, reject) => {
      if (this.closed) return reject(new Error('connection closed'));
      const timer = setTimeout(() => this.#socket.destroy(new Error(`no reply in ${this.#timeout_ms} ms`)),
                               this.#timeout_ms);
      this.#waiting.push((value) => {
        clearTimeout(timer);
        if (value instanceof Error && !(value instanceof ReplyError)) reject(value);
        else resolve(value);
      });
    });
  }

  async command(...args) {
    const reply = this.reply();
    this.#socket.write(encode(args));
    const value = await reply;
    if (value instanceof ReplyError) throw value;
    return value;
  }

  // All commands in one write; error replies are values of the array.
  pipeline(commands) {
    const replies = commands.map(() => this.reply());
    this.#socket.write(Buffer.concat(commands.map(encode)));
    return Promise.all(replies);
  }

  close() { this.#socket.destroy(); }
}

// One command on a connection of its own.
export async function ask(address, ...args) {
  const connection = await RespConnection.connect(address);
  try {
    return await connection.command(...args);
  } finally {
    connection.close();
  }
}
