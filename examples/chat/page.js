// The chat's page. It keeps one WebSocket open, shows what comes, and sends what the user does.
// Texts and names from others only ever become text nodes: nothing is parsed as HTML.
"use strict";

const $ = (id) => document.getElementById(id);

/** Seconds between attempts to connect: doubles up to the last, with some chance in it. */
const FIRST_WAIT = 0.5, LONGEST_WAIT = 15;
/** After so many seconds of silence we ask the server for a sign of life; then it gets as many. */
const QUIET = 20;
/** A user who does something is reported at most this often, in seconds. */
const ACTIVE_EVERY = 15;
/** Lines kept on the page. */
const LINES = 500;

const storage = (area) => ({
  get(name) { try { return area().getItem("chat." + name); } catch { return null; } },
  set(name, value) { try { area().setItem("chat." + name, value); } catch { /* private mode */ } },
});
const forever = storage(() => localStorage);
const tab = storage(() => sessionStorage);

let socket = null;
let wish = null;          // { room, nick }: where we want to be
let joined = null;        // { room, nick }: where we are
let people = new Map();   // nickname -> away
let textLimit = 1000;
let attempts = 0;         // failed ones in a row
let retryTimer = 0;
let retryAt = 0;
let lastHeard = 0;
let lastActive = 0;
let shownRoom = null;     // the room whose messages are on the page
let shown = new Set();    // which of them, so that coming back adds only what was missed
let lastSaid = null;      // who said the last line, to group
let lastDay = "";
let lastSent = "";        // given back to the user if the server refuses it
let unread = 0;

// ---- the connection ----

/** Tells our own older connection from somebody else with our name. */
function tabKey() {
  let key = tab.get("key");
  if (!key) {
    key = [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");
    tab.set("key", key);
  }
  return key;
}

function connect() {
  clearInterval(retryTimer);
  if (socket) return;
  show("waiting", "Connecting…");
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const opened = socket = new WebSocket(`${scheme}//${location.host}/ws`);
  lastHeard = now();
  opened.onopen = () => { if (opened === socket) { lastHeard = now(); enter(); } };
  opened.onmessage = (event) => { if (opened === socket) hear(event.data); };
  opened.onclose = (event) => { if (opened === socket) lose(event); };
}

function send(message) {
  if (socket?.readyState !== WebSocket.OPEN) return false;
  socket.send(JSON.stringify(message));
  return true;
}

/** Asks to be let into the room that we want to be in. */
function enter() {
  if (wish) send({ type: "join", room: wish.room, nick: wish.nick, key: tabKey() });
}

function lose(event) {
  const wasJoined = joined;
  socket = null;
  joined = null;
  enable(false);
  if (event.code === 4001) {
    show("", "Open in another tab");
    $("retry").textContent = "Use it here";
    $("retry").hidden = false;
    return;
  }
  if (event.code === 1008) notice(`The server closed the connection: ${event.reason}.`);
  if (wasJoined) line(event.code === 1001 ? "The server is going away." : "The connection was lost.");
  // The chance keeps a thousand pages from coming back in the same moment.
  const wait = Math.min(FIRST_WAIT * 2 ** attempts, LONGEST_WAIT) * (0.75 + Math.random() / 2);
  attempts += 1;
  retryAt = now() + wait;
  clearInterval(retryTimer);
  retryTimer = setInterval(countDown, 250);
  countDown();
}

function countDown() {
  const left = Math.ceil(retryAt - now());
  if (left <= 0) return connect();
  show("waiting", `Reconnecting in ${left} s`);
  $("retry").textContent = "Try now";
  $("retry").hidden = left < 2;
}

function now() { return performance.now() / 1000; }

// A connection can die without a word. If nothing comes for long, ask; if then nothing comes, go.
setInterval(() => {
  if (!socket) return;
  const quiet = now() - lastHeard;
  if (quiet > 2 * QUIET) {
    const dead = socket;
    lose({ code: 1006 });
    dead.close();
  } else if (quiet > QUIET) {
    send({ type: "ping" });
  }
}, 5000);

addEventListener("online", () => { if (wish) connect(); });

function active() {
  if (joined && now() - lastActive > ACTIVE_EVERY && send({ type: "active" })) lastActive = now();
}
for (const event of ["pointerdown", "keydown", "pointermove"]) addEventListener(event, active, { passive: true });

// ---- what the server says ----

function hear(data) {
  lastHeard = now();
  const message = JSON.parse(data);
  hearing[message.type]?.(message);
}

const hearing = {
  welcome({ room, nick, members, history, text_limit }) {
    // We are in: the next attempts begin with short waits again.
    attempts = 0;
    joined = wish = { room, nick };
    textLimit = text_limit;
    people = new Map(members.map((member) => [member.nick, member.away]));
    forever.set("nick", nick);
    tab.set("nick", nick);
    rememberRoom(room);
    if (roomInHash() !== room) location.hash = room;
    $("entry").close();
    $("notice").hidden = true;
    $("room").textContent = "#" + room;
    const isBack = shownRoom === room;
    if (!isBack) {
      $("log").replaceChildren();
      shown = new Set();
      lastSaid = null;
      lastDay = "";
    }
    shownRoom = room;
    // Even a server that has forgotten everything in between adds to what is on the page.
    history.filter((message) => !shown.has(key(message))).forEach(said);
    if (isBack) line("You are back");
    else if (history.length) line("You are here now");
    else empty();
    showPeople();
    show("online", "Connected");
    enable(true);
    toBottom();
    if (matchMedia("(hover: hover)").matches) $("text").focus();
  },
  said(message) {
    said(message);
    if (document.hidden && message.nick !== joined?.nick) {
      unread += 1;
      title();
    }
  },
  joined({ nick, at }) {
    people.set(nick, false);
    line(`${nick} joined`, at);
    showPeople();
  },
  left({ nick, at, why }) {
    people.delete(nick);
    line(`${nick} ${why}`, at);
    showPeople();
  },
  renamed({ from, to, at }) {
    // Keep the order: somebody who changes the name does not move.
    people = new Map([...people].map(([nick, away]) => [nick === from ? to : nick, away]));
    if (joined?.nick === from) {
      joined.nick = to;
      wish = joined;
      forever.set("nick", to);
      tab.set("nick", to);
      $("rename-problem").hidden = true;
    }
    line(`${from} is now ${to}`, at);
    showPeople();
  },
  presence({ nick, away }) {
    people.set(nick, away);
    showPeople();
  },
  error({ code, text }) {
    if (!joined || joined !== wish) {
      // We were not let in where we wanted to be: ask again, in the old room or outside.
      if (!joined) show("online", "Connected");
      askIn(text);
    } else if (code === "nick_taken" || code === "bad_nick") {
      problem("rename-problem", text);
      $("side").classList.add("open");
      $("new-nick").focus();
    } else {
      notice(text);
      if (lastSent && !$("text").value) $("text").value = lastSent;
      resize();
    }
  },
};

// ---- what is shown ----

function show(kind, text) {
  $("status").className = kind;
  $("status-text").textContent = text;
  $("retry").hidden = true;
}

function enable(on) {
  for (const field of document.querySelectorAll("#composer :is(textarea, button), #rename :is(input, button)")) field.disabled = !on;
  $("people-button").hidden = !on && !wish;
}

function title() {
  const room = joined ? "#" + joined.room : "Chat";
  document.title = unread ? `(${unread}) ${room}` : room;
}
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) { unread = 0; title(); active(); }
});

let noticeTimer = 0;
function notice(text) {
  problem("notice", text);
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => { $("notice").hidden = true; }, 8000);
}

function problem(id, text) {
  $(id).textContent = text;
  $(id).hidden = false;
}

function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

function clock(at) {
  const date = new Date(at);
  const time = make("time", "", date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  time.dateTime = date.toISOString();
  time.title = date.toLocaleString();
  return time;
}

/** A colour that belongs to the name. */
function hue(element, nick) {
  let sum = 7;
  for (const char of nick.toLowerCase()) sum = (sum * 31 + char.codePointAt(0)) % 3600;
  element.style.setProperty("--hue", (sum * 47) % 360);
}

/** Adds to the log and follows it, unless the user is reading further up. */
function add(...items) {
  const log = $("log");
  const follows = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  log.querySelector(".empty")?.remove();
  log.append(...items);
  while (log.children.length > LINES) log.firstChild.remove();
  if (follows) toBottom();
  else if (items.some((item) => item.classList.contains("said"))) $("latest").hidden = false;
}

function toBottom() {
  $("log").scrollTop = $("log").scrollHeight;
  $("latest").hidden = true;
}
$("latest").onclick = toBottom;
// The log shrinks when the composer grows or the keyboard of a phone opens: what one read stays.
let lastHeight = 0;
new ResizeObserver(([{ target }]) => {
  const shrunk = lastHeight - target.clientHeight;
  if (shrunk > 0) target.scrollTop += shrunk;
  lastHeight = target.clientHeight;
}).observe($("log"));
$("log").onscroll = () => {
  const log = $("log");
  if (log.scrollHeight - log.scrollTop - log.clientHeight < 80) $("latest").hidden = true;
};

function line(text, at = Date.now()) {
  add(make("li", "line", text + " ", clock(at)));
  lastSaid = null;
}

function empty() {
  $("log").append(make("li", "empty", "Nothing has been said here yet. Say hello, or invite somebody with the link to this room."));
}

/** A restarted server counts anew: the number alone is not enough. */
function key({ id, at }) { return `${id} ${at}`; }

function said({ id, nick, text, at }) {
  shown.add(key({ id, at }));
  const day = new Date(at).toLocaleDateString([], { weekday: "long", day: "numeric", month: "long" });
  if (day !== lastDay) {
    // Today's first message needs no date above it.
    if (lastDay || new Date(at).toDateString() !== new Date().toDateString()) add(make("li", "line day", day));
    lastDay = day;
    lastSaid = null;
  }
  const isFirst = !lastSaid || lastSaid.nick !== nick || at - lastSaid.at > 5 * 60_000;
  const item = make("li", "said");
  item.classList.toggle("first", isFirst);
  item.classList.toggle("mine", nick === joined?.nick);
  hue(item, nick);
  if (isFirst) item.append(make("p", "by", make("b", "", nick), clock(at)));
  const bubble = make("p", "bubble", ...withLinks(text));
  bubble.title = new Date(at).toLocaleString();
  item.append(bubble);
  add(item);
  lastSaid = { nick, at };
}

/** Splits a text into text and links to the web, and to nowhere else. */
function withLinks(text) {
  return text.split(/(https?:\/\/[^\s<>"]+[^\s<>".,;:!?)\]'])/).map((part, index) => {
    if (index % 2 === 0) return part;
    const link = make("a", "", part);
    link.href = part;
    link.target = "_blank";
    link.rel = "noopener noreferrer nofollow";
    return link;
  });
}

function showPeople() {
  const mine = joined?.nick;
  $("people").replaceChildren(...[...people].map(([nick, away]) => {
    const face = make("span", "face", [...nick][0].toUpperCase());
    face.ariaHidden = "true";
    const name = make("span", "name", nick);
    name.title = nick;
    const note = [nick === mine && "you", away && "away"].filter(Boolean).join(", ");
    const item = make("li", away ? "away" : "", face, name, make("small", "", note));
    hue(item, nick);
    return item;
  }));
  $("count").textContent = people.size;
  if (document.activeElement !== $("new-nick")) $("new-nick").value = mine ?? "";
  title();
}

// ---- rooms and names ----

function roomInHash() {
  try { return decodeURIComponent(location.hash.slice(1)); } catch { return ""; }
}

function knownRooms() {
  try { return JSON.parse(forever.get("rooms")) ?? []; } catch { return []; }
}

function rememberRoom(room) {
  const rooms = [room, ...knownRooms().filter((other) => other !== room)].slice(0, 8);
  forever.set("rooms", JSON.stringify(rooms));
  const shown = ["lobby", ...rooms.filter((other) => other !== "lobby").sort()];
  $("rooms").replaceChildren(...shown.map((name) => {
    const link = make("a", "", "#" + name);
    link.href = "#" + encodeURIComponent(name);
    if (name === room) link.ariaCurrent = "page";
    return make("li", "", link);
  }));
}

function goTo(room, nick) {
  wish = { room, nick };
  $("side").classList.remove("open");
  if (socket?.readyState === WebSocket.OPEN) enter();
  else connect();
}

/** Shows the way in, perhaps with what was wrong. */
function askIn(text) {
  $("nick").value = wish?.nick ?? tab.get("nick") ?? forever.get("nick") ?? "";
  $("room-name").value = wish?.room || roomInHash() || "lobby";
  $("join-problem").hidden = true;
  if (text) problem("join-problem", text);
  if (!$("entry").open) $("entry").showModal();
  $("nick").select();
}

$("join").onsubmit = (event) => {
  event.preventDefault();
  $("join-problem").hidden = true;
  goTo($("room-name").value, $("nick").value);
};
// Escape closes the way in only for those who are in: back to where they are.
$("entry").oncancel = (event) => {
  if (!joined) return event.preventDefault();
  wish = joined;
  location.hash = joined.room;
};

$("rename").onsubmit = (event) => {
  event.preventDefault();
  $("rename-problem").hidden = true;
  send({ type: "nick", nick: $("new-nick").value });
  $("new-nick").blur();
};
$("new-nick").onblur = () => {
  // Not at once: the blur may come from pressing "Change".
  setTimeout(() => { if ($("rename-problem").hidden) $("new-nick").value = joined?.nick ?? ""; }, 500);
};

$("goto").onsubmit = (event) => {
  event.preventDefault();
  location.hash = $("other-room").value.trim().replace(/^#/, "");
  $("other-room").value = "";
};

addEventListener("hashchange", () => {
  const room = roomInHash();
  const nick = joined?.nick ?? wish?.nick;
  if (room && nick && room !== wish?.room) goTo(room, nick);
});

$("share").onclick = async () => {
  try {
    await navigator.clipboard.writeText(location.href);
    $("share").textContent = "Copied";
  } catch {
    // Only pages from https or localhost may write to the clipboard.
    $("share").textContent = "Copy it from the address bar";
  }
  setTimeout(() => { $("share").textContent = "Copy the link to this room"; }, 2500);
};

$("people-button").onclick = () => {
  const open = $("side").classList.toggle("open");
  $("people-button").ariaExpanded = String(open);
};
document.querySelector("main").addEventListener("pointerdown", () => {
  $("side").classList.remove("open");
  $("people-button").ariaExpanded = "false";
});

$("retry").onclick = () => { attempts = 0; connect(); };

// ---- writing ----

function resize() {
  const field = $("text");
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + 2}px`;
  // The server counts characters, not the units that `length` counts.
  const length = [...field.value.trimEnd()].length;
  $("counter").hidden = length < textLimit * 0.8;
  $("counter").textContent = `${length} / ${textLimit}`;
  $("counter").classList.toggle("over", length > textLimit);
}
$("text").oninput = resize;

$("text").onkeydown = (event) => {
  // Enter sends, Shift+Enter breaks the line; Enter that ends the input of a character does neither.
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("composer").requestSubmit();
  }
};

$("composer").onsubmit = (event) => {
  event.preventDefault();
  const text = $("text").value.trimEnd();
  if (!text.trim()) return;
  const length = [...text].length;
  if (length > textLimit) {
    return notice(`That is ${length - textLimit} characters too long: a message has at most ${textLimit}.`);
  }
  if (!send({ type: "say", text })) return notice("Not connected: your message is kept here.");
  lastSent = text;
  lastActive = now();
  $("text").value = "";
  $("notice").hidden = true;
  resize();
  toBottom();
};

// ---- the start ----

rememberRoom(roomInHash() || "lobby");
// Whoever reloads the page is let in without being asked.
if (tab.get("nick")) goTo(roomInHash() || "lobby", tab.get("nick"));
else askIn();
