// A client of the RPC (docs/rpc.md) for tests that ask what no command of RESP tells. One connection, replies by their ids.
// Byte strings come back as text; integers beyond 2^53 lose digits.
import net from 'node:net';

const verbs = { get: 1, map_all: 6, set: 32, increment: 33, map_set: 34, delete: 64 };
const kHello = 0, kRequest = 2, kReply = 3;

// MessagePack of the values that requests have: null, booleans, integers, text (as bytes), arrays, and objects as maps.
function pack(value) {
  const sized = (small, limit, code, size) => {
    if (size < limit) return Buffer.from([small | size]);
    const head = Buffer.alloc(5);
    head[0] = code;
    head.writeUInt32BE(size, 1);
    return head;
  };
  if (value === null || value === undefined) return Buffer.from([0xc0]);
  if (typeof value === 'boolean') return Buffer.from([value ? 0xc3 : 0xc2]);
  if (typeof value === 'number') {
    const out = Buffer.alloc(9);
    out[0] = value < 0 ? 0xd3 : 0xcf;
    if (value < 0) out.writeBigInt64BE(BigInt(value), 1);
    else out.writeBigUInt64BE(BigInt(value), 1);
    return out;
  }
  if (Array.isArray(value)) return Buffer.concat([sized(0x90, 16, 0xdd, value.length), ...value.map(pack)]);
  if (typeof value === 'object') {
    const pairs = Object.entries(value).filter(([, each]) => each !== undefined);
    return Buffer.concat([sized(0x80, 16, 0xdf, pairs.length), ...pairs.flat().map(pack)]);
  }
  const bytes = Buffer.from(value);
  return Buffer.concat([sized(0xa0, 32, 0xdb, bytes.length), bytes]);
}

// The value at the beginning of `bytes`.
function unpack(bytes) {
  let at = 0;
  const number = (size) => { at += size; return bytes.readUIntBE(at - size, size); };
  const text = (size) => { at += size; return bytes.toString('utf8', at - size, at); };
  const list = (size) => Array.from({ length: size }, next);
  const map = (size) => Object.fromEntries(Array.from({ length: size }, () => [next(), next()]));
  function next() {
    const code = bytes[at++];
    if (code < 0x80) return code;
    if (code < 0x90) return map(code & 15);
    if (code < 0xa0) return list(code & 15);
    if (code < 0xc0) return text(code & 31);
    if (code >= 0xe0) return code - 256;
    switch (code) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: case 0xd9: return text(number(1));
      case 0xc5: case 0xda: return text(number(2));
      case 0xc6: case 0xdb: return text(number(4));
      case 0xcc: return number(1);
      case 0xcd: return number(2);
      case 0xce: return number(4);
      case 0xcf: at += 8; return Number(bytes.readBigUInt64BE(at - 8));
      case 0xd0: at += 1; return bytes.readInt8(at - 1);
      case 0xd1: at += 2; return bytes.readInt16BE(at - 2);
      case 0xd2: at += 4; return bytes.readInt32BE(at - 4);
      case 0xd3: at += 8; return Number(bytes.readBigInt64BE(at - 8));
      case 0xdc: return list(number(2));
      case 0xdd: return list(number(4));
      case 0xde: return map(number(2));
      case 0xdf: return map(number(4));
      default: throw new Error(`no MessagePack: ${code}`);
    }
  }
  return next();
}

function frame(kind, payload) {
  const head = Buffer.alloc(6);
  head.writeUInt32BE(payload.length + 2);
  head[4] = kind;
  return Buffer.concat([head, payload]);
}

export class RpcConnection {
  #socket;
  #received = Buffer.alloc(0);
  #waiting = new Map();  // by id
  #next_id = 1;

  static connect({ host, port }) {
    return new Promise((resolve, reject) => {
      const socket = net.connect({ host, port, noDelay: true });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new RpcConnection(socket));
      });
    });
  }

  constructor(socket) {
    this.#socket = socket;
    socket.on('data', (bytes) => this.#on_data(bytes));
    socket.on('error', () => {});
    socket.on('close', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('connection closed'));
      this.#waiting.clear();
    });
    socket.write(frame(kHello, pack([1, '', '', 0, 1])));
  }

  #on_data(bytes) {
    this.#received = Buffer.concat([this.#received, bytes]);
    while (this.#received.length >= 4 && this.#received.length >= 4 + this.#received.readUInt32BE()) {
      const end = 4 + this.#received.readUInt32BE();
      const [kind, payload] = [this.#received[4], this.#received.subarray(6, end)];
      this.#received = this.#received.subarray(end);
      if (kind !== kReply) continue;
      const [id, code, message, value, token, stale, fallbacks] = unpack(payload);
      this.#waiting.get(id)?.resolve({ code, message, value, token, stale, fallbacks });
      this.#waiting.delete(id);
    }
  }

  // Sends one request and gives its reply, an error included: {code, message, value, token, stale, fallbacks}.
  ask(keyspace, verb, key, args = [], options = {}) {
    const id = this.#next_id++;
    const reply = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.#socket.write(frame(kRequest, pack([id, keyspace, verbs[verb], key, args, options])));
    return reply;
  }

  close() { this.#socket.destroy(); }
}
