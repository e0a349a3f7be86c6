// Runs every example but the chat, and checks what a reader would see.

import { createSocket } from "node:dgram";
import { once } from "node:events";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { assert, check, equal, finish, serve, sleep, start, talk, within } from "./support.mjs";

const run = promisify(execFile);
const curl = async (...args) => (await run("curl", ["--silent", "--show-error", "--max-time", "10", ...args])).stdout;

/** Runs an example to its end, and looks for each pattern in what it printed. */
async function prints(name, ...patterns) {
  const example = start(name);
  equal(await example.end(), 0, `the exit status of ${name}, which printed\n${example.output}\n`);
  for (const pattern of patterns) assert(pattern.test(example.output), `${name} did not print ${pattern}:\n${example.output}`);
  return example.output;
}

await check("hello", async () => void await prints("hello", /hello, world!/, /hello, runtime!/, /hello, reader!/, /greeted 18 letters/));

await check("concurrency", async () => {
  const output = await prints("concurrency", /one after the other/, /join!/, /spawn/);
  const [, ...times] = output.match(/took (\d+) ms[^]*took (\d+) ms[^]*took (\d+) ms/).map(Number);
  assert(times[0] >= 60 && times[1] >= 30 && times[2] >= 30, `too early: ${times}`);
});

await check("non_blocking", async () => void await prints("non_blocking", /would block.*\n\(the other side sends "first"\)\nreadable/, /read: "second"/, /the other side closed/));

await check("event_loop", async () => {
  const output = await prints("event_loop", /by hand:/, /on the runtime:/);
  equal(output.match(/closed after 2\d bytes/g)?.length, 6, "sockets that were read to the end");
});

await check("callbacks", async () => void await prints("callbacks", /nested callbacks: 22/, /futures: 22/, /weather in Atlantis/, /ended after 2 calls/, /back to a callback: Ok\(19\)/));

await check("promise", async () => void await prints("promise", /another thread: Ok\(42\)/, /another task: Err\(Broken\)/, /Ok\("known before anyone asked"\)/));

await check("stream", async () => void await prints("stream", /producer: here is 5\nconsumer: got 5\nsquares: \[25, 16, 9, 4, 1\]/, /channel: by two values/));

await check("mixed", async () => {
  const ways = ["in the task", "yield_now", "block_in_place", "spawn_blocking"];
  const output = await prints("mixed", ...ways.map((way) => new RegExp(`^${way} +\\d+ ms +\\d+ +[\\d.]+ ms$`, "m")), /slow poll: task \d+, spawned at \S*mixed.rs:/);
  return output.split("\n").filter((line) => ways.some((way) => line.startsWith(way))).map((line) => line.trim().replace(/\s+/g, " ")).join("; ");
});

await check("bad_neighbour", async () => {
  const output = await prints("bad_neighbour",
    /slow poll: task \d+ "resize", spawned at \S*bad_neighbour.rs:\d+:\d+, has held .* computing/,
    /slow poll: task \d+ "export", spawned at \S*bad_neighbour.rs:\d+:\d+, has held .* blocked/,
    /running.*, lane \d+ .*resize \(hog\)/, /running.*, lane \d+ .*export \(hog\)/);
  // In the order in which they are printed: beside each neighbour echo and tick, each off and on.
  const rows = Array.from(output.matchAll(/ (off|on) +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+)  /g), ([, rescue, , p50, p99]) => ({ rescue, p50: Number(p50), p99: Number(p99) }));
  equal(rows.map(({ rescue }) => rescue), Array(6).fill(["off", "on"]).flat(), "the rows");
  // The figures that other processes of this machine do not spoil.
  const better = [[4, "echo", "p50"], [8, "echo", "p99"], [10, "tick", "p50"]].map(([row, what, figure]) => {
    const [off, on] = [rows[row][figure], rows[row + 1][figure]];
    assert(off >= 10 * on, `${what}, ${figure}: ${off} ms with rescue off, ${on} ms with it:\n${output}`);
    return `${what} ${figure} ${off} -> ${on} ms`;
  });
  return better.join("; ");
});

await check("bad_neighbour: options", async () => {
  const bad = start("bad_neighbour", "--workers", 0);
  equal(await bad.end(), 2, "the exit status");
  assert(/cannot take "--workers 0"[^]*usage:/.test(bad.output), bad.output);
});

await check("dump_tasks", async () => {
  const server = await serve("dump_tasks");
  // It stays until the end; the next one is accepted after it, so both are known when that has its answer.
  talk(server.port, "", { keepOpen: true }).catch(() => "");
  equal(await talk(server.port, "2000\n"), "queued\n", "the answer");
  await server.saw(/slow poll: task \d+ "cruncher"/);
  server.signal("SIGUSR1");
  const [, list] = await server.saw(/ tasks\n(id +state [^]*) +cleaner +\S+dump_tasks.rs/);
  assert(/running [\d.]+ m?s, \w+ \d+ .* cruncher \(hog\) /.test(list), list);
  server.signal("SIGUSR1");
  await server.saw(/( tasks\n[^]* client 127.0.0.1:[^]*){2}/);
});

await check("udp, both ends", async () => void await prints("udp", /one -> ONE/, /five -> FIVE/, /lost one/));

await check("udp, the server", async () => {
  const server = await serve("udp");
  const socket = createSocket("udp4");
  for (const text of ["hello", "again"]) {
    socket.send(text, server.port, "127.0.0.1");
    const [answer] = await within(5000, once(socket, "message"), "an answer");
    equal(answer.toString(), text.toUpperCase(), "the answer");
  }
  socket.close();
});

const echo = await serve("echo");
const large = "0123456789abcdef".repeat(20_000);

await check("echo", async () => {
  equal(await talk(echo.port, "hello"), "hello", "the echo");
  const echoes = await Promise.all(Array.from({ length: 50 }, (_, n) => talk(echo.port, `number ${n}`)));
  echoes.forEach((text, n) => equal(text, `number ${n}`, "the echo"));
  assert(await talk(echo.port, large) === large, "a large echo differs");
});

await check("echo: a port that is taken, an address that is none", async () => {
  const second = start("echo", "127.0.0.1", echo.port);
  equal(await second.end(), 1, "the exit status");
  assert(/error: port \d+ on 127.0.0.1 is taken/.test(second.output), second.output);
  const bad = start("echo", "nowhere");
  equal(await bad.end(), 2, "the exit status");
  assert(/"nowhere" is not an IP address[^]*usage:/.test(bad.output), bad.output);
});

await check("proxy: copies both ways", async () => {
  const proxy = await serve("proxy", `127.0.0.1:${echo.port}`);
  equal(await talk(proxy.port, "through the proxy"), "through the proxy", "the echo");
  assert(await talk(proxy.port, large) === large, "a large echo differs");
  await proxy.saw(/17 bytes up, 17 bytes down/);
});

await check("proxy: closes idle connections", async () => {
  const proxy = await serve("proxy", `127.0.0.1:${echo.port}`, "0.3");
  equal(await within(5000, talk(proxy.port, "then nothing", { keepOpen: true }), "the close"), "then nothing", "the echo");
  await proxy.saw(/nothing moved for 300ms/);
});

await check("proxy: a target that does not answer", async () => {
  // A port that was free a moment ago.
  const closed = await serve("echo");
  closed.signal("SIGKILL");
  await closed.end();
  const proxy = await serve("proxy", `127.0.0.1:${closed.port}`);
  equal(await talk(proxy.port, "anybody?").catch(() => ""), "", "the echo");
  await proxy.saw(/cannot reach 127.0.0.1/);
});

const http = await serve("http");
const url = `http://127.0.0.1:${http.port}`;

await check("http, with curl", async () => {
  equal(await curl(`${url}/`), "Hello, world!\n", "the page");
  equal(await curl(`${url}/hello/Ada`), "Hello, Ada!\n", "the greeting");
  equal(await curl(`${url}/echo`, "--data-binary", "say it again"), "say it again", "the echo");
  const status = ["--output", "/dev/null", "--write-out", "%{http_code} %{num_connects}\n"];
  equal(await curl(...status, `${url}/nothing`), "404 1\n", "a path that is not there");
  equal(await curl(...status, "--request", "DELETE", `${url}/`), "405 1\n", "a method that is not there");
  equal(await curl(...status, `${url}/`, ...status, `${url}/`), "200 1\n200 0\n", "keep-alive");
});

await check("http: a body that is too large", async () => {
  equal(await curl("--write-out", "%{http_code}", "--output", "/dev/null", `${url}/echo`, "--data-binary", "x".repeat(70_000)), "413", "the status");
});

await check("http, with wrk", async () => {
  const { stdout } = await run("wrk", ["-t1", "-c64", "-d2s", `${url}/`]);
  assert(!/Non-2xx|Socket errors/.test(stdout), stdout);
  const [, rate] = stdout.match(/Requests\/sec:\s+([\d.]+)/);
  assert(Number(rate) > 100, stdout);
  return `${Math.round(Number(rate))} requests/s`;
});

await check("children: how each ends", async () => void await prints("children",
  /^hello$/m, /^"echo hello": exit status: 0$/m, /^"exit 3": exit status: 3$/m, /^"sleep 60": took longer than 2s$/m));

await check("children: Ctrl-C ends them", async () => {
  const example = start("children", "echo $$ started; sleep 60; true");
  const [, pid] = await example.saw(/^(\d+) started$/m);
  example.signal("SIGINT");
  await example.saw(/^interrupted: ending what still runs \(1\)$/m);
  // Not before all that hold its output have ended, the shell's `sleep` too.
  equal(await example.end(1500), 0, "the exit status");
  assert(await run("kill", ["-0", pid]).then(() => false, () => true), "the shell lives");
});

await check("shutdown: lets requests finish, refuses new ones", async () => {
  const server = await serve("shutdown");
  const working = talk(server.port, "600\n");
  const idle = talk(server.port, "", { keepOpen: true });
  await server.saw(/connected\n[^]*connected\n/);
  // Nobody sees when the server has read a request.
  await sleep(200);
  server.signal("SIGINT");
  await server.saw(/finishing 2 connections/);
  const refused = await talk(server.port, "1\n").then(() => false, () => true);
  assert(refused, "a connection was accepted after Ctrl-C");
  equal(await idle, "closing\n", "an idle connection");
  // The client has said that it sends no more, so the server has nothing to tell it afterwards.
  assert((await working).startsWith("worked 600 ms\n"), "the request did not finish");
  equal(await server.end(), 0, "the exit status");
});

await check("shutdown: does not wait for ever", async () => {
  const server = await serve("shutdown");
  const working = talk(server.port, "60000\n").catch(() => "");
  await server.saw(/connected\n/);
  await sleep(200);
  server.signal("SIGINT");
  await server.saw(/1 did not finish in time/);
  equal(await server.end(), 0, "the exit status");
  await working;
});

finish();
