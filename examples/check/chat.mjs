// Talks to the chat as browsers do, with the WebSocket client `ws`.

import { createRequire } from "node:module";
import { once } from "node:events";
import { assert, check, equal, finish, serve, sleep, start, within } from "./support.mjs";

const WebSocket = createRequire(process.env.CLIENTS_DIR + "/")("ws");

/** A client that remembers everything it was told. */
class Client {
  constructor(port, options = {}) {
    this.heard = [];
    this.socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, { perMessageDeflate: false, ...options });
    this.socket.on("message", (data) => {
      this.heard.push(JSON.parse(data));
      this.socket.emit("heard");
    });
    // Not with `once`, which would fail on an error that comes first.
    this.closed = new Promise((done) => {
      this.socket.on("close", (code, reason) => done({ code, reason: reason.toString() }));
    });
    this.socket.on("error", () => {});
  }

  static async open(port, options) {
    const client = new Client(port, options);
    await within(5000, once(client.socket, "open"), "the WebSocket handshake");
    return client;
  }

  static async join(port, room, nick, key) {
    const client = await Client.open(port);
    client.send({ type: "join", room, nick, key });
    client.welcome = await client.hears("welcome");
    return client;
  }

  send(message) { this.socket.send(typeof message === "string" ? message : JSON.stringify(message)); }
  say(text) { this.send({ type: "say", text }); }

  /** Waits for a message of this type that suits, takes it out of the memory, and returns it. */
  async hears(type, suits = () => true) {
    const look = async () => {
      for (;;) {
        const index = this.heard.findIndex((message) => message.type === type && suits(message));
        if (index >= 0) return this.heard.splice(index, 1)[0];
        await once(this.socket, "heard");
      }
    };
    return within(10_000, look(), `hearing "${type}"`);
  }

  async refused(message, code) {
    this.send(message);
    equal((await this.hears("error")).code, code, `the answer to ${JSON.stringify(message).slice(0, 80)}`);
  }
}

const join = Client.join;
const server = await serve("chat");
const { port } = server;
const url = `http://127.0.0.1:${port}`;

await check("chat: the page and its files", async () => {
  for (const [path, type] of [["/", "text/html"], ["/page.css", "text/css"], ["/page.js", "text/javascript"], ["/icon.svg", "image/svg"]]) {
    const response = await fetch(url + path);
    equal(response.status, 200, path);
    assert(response.headers.get("content-type").startsWith(type), `the type of ${path}`);
    assert(response.headers.get("content-security-policy").includes("script-src 'self'"), `the policy of ${path}`);
    assert((await response.text()).length > 100, `${path} is empty`);
  }
  equal((await fetch(`${url}/nothing`)).status, 404, "a path that is not there");
  equal((await fetch(`${url}/`, { method: "POST" })).status, 405, "a method that is not there");
  equal((await fetch(`${url}/ws`)).status, 400, "a request that is no WebSocket");
});

await check("chat: pages of other sites are refused", async () => {
  const foreign = new Client(port, { origin: "https://example.org" });
  const error = await new Promise((done) => foreign.socket.on("error", done));
  assert(/403/.test(error.message), error.message);
  const own = await Client.open(port, { origin: url });
  own.socket.close();
});

await check("chat: join, broadcast, leave", async () => {
  const ada = await join(port, "Tea Room", "Ada");
  equal(ada.welcome.room, "tea-room", "the tidied room");
  const bob = await join(port, "#tea-room", "Bob");
  equal(bob.welcome.members.map((member) => member.nick), ["Ada", "Bob"], "who is there");
  equal((await ada.hears("joined")).nick, "Bob", "who joined");
  const elsewhere = await join(port, "coffee", "Ada");

  bob.say("<b>hello</b> & \u{1f980}");
  for (const client of [ada, bob]) {
    const said = await client.hears("said");
    equal([said.nick, said.text], ["Bob", "<b>hello</b> & \u{1f980}"], "what was said");
    assert(Math.abs(Date.now() - said.at) < 60_000, "the time is wrong");
  }
  bob.socket.close();
  equal((await ada.hears("left")).why, "left", "why Bob left");
  equal((await bob.closed).code, 1005, "the close code is echoed");
  equal(elsewhere.heard, [], "what another room heard");

  // One connection can go from room to room.
  ada.send({ type: "join", room: "coffee", nick: "Ada 2" });
  equal((await ada.hears("welcome")).members.length, 2, "members of the other room");
  ada.socket.close();
  elsewhere.socket.close();
});

await check("chat: newcomers get the last 100 messages", async () => {
  const talkers = await Promise.all([1, 2, 3, 4].map((n) => join(port, "history", `talker ${n}`)));
  for (let n = 0; n < 120; n += 1) {
    const talker = talkers[n % 4];
    talker.say(`number ${n}`);
    await talker.hears("said", (said) => said.text === `number ${n}`);
  }
  const { welcome } = await join(port, "history", "late");
  equal(welcome.history.length, 100, "the length of the history");
  equal([welcome.history[0].text, welcome.history[99].text], ["number 20", "number 119"], "its ends");
});

await check("chat: nicknames are unique in a room, and can be changed", async () => {
  const ada = await join(port, "names", "Ada");
  const other = await Client.open(port);
  await other.refused({ type: "join", room: "names", nick: "aDA" }, "nick_taken");
  other.send({ type: "join", room: "names", nick: "Bob" });
  await other.hears("welcome");
  await other.refused({ type: "nick", nick: "ADA" }, "nick_taken");
  await other.refused({ type: "nick", nick: " \u200b " }, "bad_nick");
  other.send({ type: "nick", nick: "Carol" });
  const { from, to } = await ada.hears("renamed");
  equal([from, to], ["Bob", "Carol"], "the change");
  await other.refused({ type: "join", room: "na/mes", nick: "Carol" }, "bad_room");
});

await check("chat: who comes back with the same key takes over", async () => {
  const old = await join(port, "keys", "Ada", "secret");
  const thief = await Client.open(port);
  await thief.refused({ type: "join", room: "keys", nick: "Ada", key: "guess" }, "nick_taken");
  const back = await join(port, "keys", "Ada", "secret");
  equal((await within(5000, old.closed, "the old connection's end")).code, 4001, "the close code");
  equal(back.welcome.members.length, 1, "members");
});

await check("chat: bad input has clear answers, and hurts nobody else", async () => {
  const ada = await join(port, "bad", "Ada");
  const eve = await Client.open(port);
  await eve.refused({ type: "say", text: "too early" }, "not_joined");
  for (const nonsense of ["", "hello", "[]", "{}", '{"type":"fly"}', '{"type":"say","text":7}', "[".repeat(5000)]) {
    await eve.refused(nonsense, "bad_message");
  }
  eve.send({ type: "join", room: "bad", nick: "Eve" });
  await eve.hears("welcome");
  await eve.refused({ type: "say", text: "  \n " }, "empty_text");
  await eve.refused({ type: "say", text: "x".repeat(1001) }, "text_too_long");
  eve.say("\u{1f980}".repeat(1000));
  await ada.hears("said");
  eve.socket.send(Buffer.from([1, 2, 3]));
  equal((await eve.hears("error")).code, "bad_message", "the answer to a binary message");

  const greedy = await join(port, "bad", "Greedy");
  greedy.send("x".repeat(100_000));
  equal((await within(5000, greedy.closed, "the end")).code, 1009, "the close code of a giant message");

  const hasty = await join(port, "bad", "Hasty");
  for (let n = 0; n < 100; n += 1) hasty.say(`${n}`);
  equal((await hasty.hears("error")).code, "too_fast", "the answer to a flood");

  ada.say("still here");
  await ada.hears("said", (said) => said.text === "still here");
});

await check("chat: a port that is taken, bad arguments", async () => {
  for (const [args, status, pattern] of [
    [["127.0.0.1", port], 1, /port \d+ on 127\.0\.0\.1 is taken/],
    [["127.0.0.1", "http"], 2, /"http" is not a port number[^]*usage: chat/],
    [["nowhere"], 2, /"nowhere" is not an IP address[^]*usage: chat/],
    [["127.0.0.1", "0", "more"], 2, /"more" is one word too many[^]*usage: chat/],
    [["--away", "soon"], 2, /--away wants a number[^]*usage: chat/],
    [["--fly", "1"], 2, /--fly is not an option[^]*usage: chat/],
    [["--help"], 0, /usage: chat/],
  ]) {
    const chat = start("chat", ...args);
    equal(await chat.end(), status, `the exit status of chat ${args.join(" ")}`);
    assert(pattern.test(chat.output), chat.output);
  }
});

await check("chat: away after a while, back on activity, dropped when silent", async () => {
  const { port } = await serve("chat", "--away", "0.5", "--silence", "3");
  const ada = await join(port, "quiet", "Ada");
  const bob = await join(port, "quiet", "Bob");
  equal((await ada.hears("presence", ({ nick }) => nick === "Bob")).away, true, "Bob's presence");
  bob.send({ type: "active" });
  equal((await ada.hears("presence", ({ nick }) => nick === "Bob")).away, false, "Bob's presence");

  // Pongs are no activity, but a sign of life: Bob is away again, and stays.
  const mute = await Client.open(port, { autoPong: false });
  mute.send({ type: "join", room: "quiet", nick: "Mute" });
  const { code, reason } = await within(10_000, mute.closed, "the end of a silent client");
  equal([code, reason.split(":")[0]], [1008, "silent"], "why it ended");
  equal((await ada.hears("left")).why, "did not answer any more", "what others are told");
  equal(bob.socket.readyState, WebSocket.OPEN, "Bob's connection");
});

await check("chat: a slow client is dropped, and a fast one goes on", async () => {
  const chat = await serve("chat", "--queue", "64");
  const [slow, fast] = [await join(chat.port, "rush", "Slow"), await join(chat.port, "rush", "Fast")];
  slow.socket._socket.pause();
  // Nobody may talk as fast as this takes, so many do.
  const crowd = await Promise.all(Array.from({ length: 24 }, (_, n) => join(chat.port, "rush", `crowd ${n}`)));
  const text = "\u{1f980}".repeat(1000);
  const begin = performance.now();
  let slowest = 0;
  for (let round = 0; !/Slow was too slow and has been disconnected/.test(chat.output); round += 1) {
    assert(performance.now() - begin < 40_000, "the slow client was not dropped");
    for (const client of crowd) {
      client.heard.length = 0;
      client.say(text);
    }
    const begun = performance.now();
    fast.say(`round ${round}`);
    await fast.hears("said", (said) => said.text === `round ${round}`);
    fast.heard = fast.heard.filter((message) => message.type === "left");
    slowest = Math.max(slowest, performance.now() - begun);
    await sleep(50);
  }
  slow.socket._socket.resume();
  const { code, reason } = await within(5000, slow.closed, "the slow client's end");
  equal([code, reason.split(":")[0]], [1008, "too slow"], "why the slow client was dropped");
  assert(/too slow/.test((await fast.hears("left")).why), "what others are told");
  equal(fast.socket.readyState, WebSocket.OPEN, "the fast client's connection");
  assert(slowest < 2000, `the fast client waited ${slowest} ms`);
  chat.signal("SIGTERM");
  equal(await chat.end(), 0, "the exit status");
  return `the fast one waited ${Math.round(slowest)} ms at most`;
});

await check("chat: Ctrl-C says goodbye to everyone", async () => {
  const chat = await serve("chat");
  const clients = await Promise.all(Array.from({ length: 20 }, (_, n) => join(chat.port, "end", `client ${n}`)));
  const mute = await Client.open(chat.port);
  mute.socket._socket.pause();
  const begun = performance.now();
  chat.signal("SIGINT");
  for (const client of clients) {
    equal(await within(3000, client.closed, "a farewell"), { code: 1001, reason: "the server is going away" }, "the farewell");
  }
  equal(await chat.end(8000), 0, "the exit status");
  assert(performance.now() - begun < 7000, "it waited too long for a client that does not answer");
  assert(/saying goodbye to 21 connections[^]*bye\n$/.test(chat.output), chat.output);
});

/** Opens `count` clients that only count what they hear, and so are quick. */
async function crowd(port, count, roomOf) {
  const clients = Array.from({ length: count }, (_, n) => ({ n, said: 0, joined: false }));
  const waiting = [...clients];
  const open = async () => {
    for (let client = waiting.pop(); client; client = waiting.pop()) {
      const socket = client.socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, { perMessageDeflate: false, skipUTF8Validation: true });
      const welcome = new Promise((done, fail) => {
        socket.on("error", fail);
        socket.on("close", (code, reason) => { client.closed = `${code} ${reason}`; fail(new Error(`closed: ${client.closed}`)); });
        socket.on("message", (data) => {
          // The type's first letters are enough: {"type":"said", {"type":"welcome", ...
          const kind = String.fromCharCode(data[9], data[10]);
          if (kind === "sa") client.said += 1;
          else if (kind === "we") done();
        });
      });
      await once(socket, "open");
      socket.send(JSON.stringify({ type: "join", room: roomOf(client.n), nick: `n${client.n}` }));
      await welcome;
    }
  };
  await Promise.all(Array.from({ length: 50 }, open));
  return clients;
}

for (const [rooms, talkers, what] of [[20, 1000, "20 rooms"], [1, 20, "one room"]]) {
  await check(`chat: 1000 WebSocket connections in ${what}`, async () => {
    const chat = await serve("chat");
    const begun = performance.now();
    const clients = await crowd(chat.port, 1000, (n) => `room-${n % rooms}`);
    const opened = performance.now();
    for (const client of clients.slice(0, talkers)) client.socket.send('{"type":"say","text":"hello, all of you"}');
    const expected = talkers * 1000 / rooms;
    const count = () => clients.reduce((sum, client) => sum + client.said, 0);
    while (count() < expected) {
      const gone = clients.find((client) => client.closed);
      assert(!gone, `client ${gone?.n} was closed: ${gone?.closed}`);
      assert(performance.now() - opened < 30_000, `${count()} of ${expected} messages came`);
      await sleep(10);
    }
    const heard = performance.now();
    equal(count(), expected, "messages");
    chat.signal("SIGINT");
    equal(await chat.end(10_000), 0, "the exit status");
    // The server is gone, but not everything that it wrote has been read.
    const all = Promise.all(clients.map(({ socket }) => socket.readyState === WebSocket.CLOSED || once(socket, "close")));
    await within(5000, all, "the farewells");
    const farewells = clients.filter((client) => client.closed?.startsWith("1001")).length;
    equal(farewells, 1000, `farewells (others: ${clients.find(({ closed }) => !closed?.startsWith("1001"))?.closed})`);
    return `${Math.round(opened - begun)} ms to join, ${Math.round(heard - opened)} ms for ${expected} deliveries, ${Math.round(performance.now() - heard)} ms to leave`;
  });
}

server.signal("SIGINT");
await check("chat: the first server ends well, too", async () => equal(await server.end(10_000), 0, "the exit status"));

finish();
