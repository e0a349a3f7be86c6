// What the checks share: starting an example, reading what it prints, and counting outcomes.

import { spawn } from "node:child_process";
import { connect as connectTcp } from "node:net";
import { once } from "node:events";
import { join } from "node:path";

const directory = process.env.EXAMPLES_DIR;
if (!directory) throw new Error("EXAMPLES_DIR must name the folder of the built examples");

const running = new Set();
let passed = 0, failed = 0;

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

export function assert(condition, what) {
  if (!condition) throw new Error(what);
}

export function equal(actual, expected, what) {
  const [a, e] = [actual, expected].map((value) => JSON.stringify(value));
  assert(a === e, `${what}: expected ${e}, got ${a}`);
}

/** Fails if the promise takes longer than `ms`. */
export function within(ms, promise, what) {
  let timer;
  const late = new Promise((_, fail) => { timer = setTimeout(() => fail(new Error(`${what}: not within ${ms} ms`)), ms); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** A running example. */
class Example {
  constructor(name, args) {
    this.name = name;
    this.output = "";
    this.child = spawn(join(directory, name), args, { stdio: ["ignore", "pipe", "pipe"] });
    running.add(this.child);
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text) => { this.output += text; this.child.emit("output"); });
    }
    // `close`, not `exit`: all output has been read by then.
    this.ended = once(this.child, "close").then(([code, signal]) => { running.delete(this.child); return code ?? signal; });
    this.ended.then(() => this.child.emit("output"));
  }

  /** Waits until the output matches, and returns the match. */
  async saw(pattern, ms = 10_000) {
    const look = async () => {
      for (;;) {
        const match = this.output.match(pattern);
        if (match) return match;
        if (!running.has(this.child)) throw new Error(`${this.name} ended without ${pattern}:\n${this.output}`);
        await once(this.child, "output");
      }
    };
    return within(ms, look(), `${this.name} printing ${pattern}, having printed\n${this.output}\n`);
  }

  /** Waits for the end, and returns the exit status or the signal's name. */
  end(ms = 30_000) {
    return within(ms, this.ended, `the end of ${this.name}`);
  }

  signal(name) { this.child.kill(name); }
}

export const start = (name, ...args) => new Example(name, args.map(String));

/** Starts a server on a free port, and returns it with that port. */
export async function serve(name, ...args) {
  const server = start(name, "127.0.0.1", 0, ...args);
  const [, port] = await server.saw(/127\.0\.0\.1:(\d+)/);
  server.port = Number(port);
  return server;
}

/** Sends `text` over TCP, and returns everything that comes until the other side closes. */
export async function talk(port, text, { keepOpen = false } = {}) {
  const socket = connectTcp(port, "127.0.0.1");
  let received = "";
  socket.setEncoding("utf8");
  socket.on("data", (data) => { received += data; });
  if (keepOpen) socket.write(text); else socket.end(text);
  await once(socket, "close");
  return received;
}

export async function check(what, run) {
  const begun = performance.now();
  try {
    const note = await within(60_000, run(), what);
    passed += 1;
    console.log(`ok      ${what} (${Math.round(performance.now() - begun)} ms)${note ? `: ${note}` : ""}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${what}\n        ${error.stack.replaceAll("\n", "\n        ")}`);
  }
}

/** Ends what still runs, says how it went, and exits. */
export function finish() {
  for (const child of running) child.kill("SIGKILL");
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}
