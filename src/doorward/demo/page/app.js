// The demo's page: wires what the user does to the connection, and what the connection tells to the page.
// Everything that came from outside is shown as text, never as markup.

import { buyTicket, Connection } from "./connection.js";
import { Credential, forge, SignedOut, Unreachable } from "./credential.js";
import { entry } from "./story.js";

const MOST_SHOWN = 200;
const ROOMS = [
  { title: "Lobby", path: "/chat/lobby" },
  { title: "Kitchen", path: "/chat/kitchen" },
  { title: "Staff", path: "/staff/office" },
];
const at = (id) => document.getElementById(id);

const settings = await (await fetch("/demo/settings.json")).json();
// another name for this machine is another origin, and the door knows one
if (location.origin !== settings.page) location.replace(settings.page);

const credential = new Credential(settings.issuer);
const connection = new Connection(settings, credential, happened);
let me = "";
let room = ROOMS[0];
let lease = null;

// ---- what the user does

at("sign-in-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  const name = form.get("username");
  at("sign-in-error").textContent = "";
  try {
    await credential.signIn(name, form.get("password"));
  } catch (error) {
    at("sign-in-error").textContent = failure(error);
    return;
  }
  event.target.elements.password.value = "";
  me = name;
  tell({ kind: "signed in", text: `As ${me}, by a token of ${settings.token_seconds} s from ${settings.issuer}.` });
  show(true);
  enter(ROOMS[0]);
});

at("sign-out").addEventListener("click", () => {
  connection.leave();
  credential.forget();
  signedOut("");
});

at("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = at("text").value.trim();
  if (text !== "" && connection.say(text)) at("text").value = "";
});

at("stubborn").addEventListener("change", (event) => {
  connection.renews = !event.target.checked;
});

at("again").addEventListener("click", () => enter(room));
at("forge").addEventListener("click", tryForged);

for (const one of ROOMS) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = one.title;
  button.addEventListener("click", () => enter(one));
  at("rooms").append(button);
}

function enter(one) {
  room = one;
  [...at("rooms").children].forEach((button, index) => {
    button.setAttribute("aria-current", String(ROOMS[index] === one));
  });
  at("messages").replaceChildren();
  at("here").textContent = "";
  setState("connecting", "idle");
  connection.open(one.path);
}

async function tryForged() {
  const other = me === "alice" ? "bob" : "alice";
  at("forge").disabled = true;
  try {
    const forged = forge(await credential.token(), other);
    const { status, problem } = await buyTicket(forged, room.path);
    tell({
      kind: "note",
      tone: status === 403 ? "good" : "bad",
      title: `Forged token: ${problem?.reason ?? "accepted"}`,
      code: `POST /auth/ticket → ${status}`,
      text: `My own token, with the name changed to ${other}. The signature no longer fits, and the audit log says so.`,
    });
    const code = await madeUpTicket();
    tell({
      kind: "note",
      tone: code === 1006 ? "good" : "bad",
      title: "Made-up ticket: refused",
      code: `WebSocket → ${code}`,
      text: "The door answered 403 here too, but a browser shows a page nothing but 1006. That is why tickets are fetched first.",
    });
  } catch (error) {
    tell({ kind: "trouble", text: failure(error) });
  } finally {
    at("forge").disabled = false;
  }
}

// The close code that a handshake with a ticket nobody sold ends with.
function madeUpTicket() {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  const ticket = btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replace("=", "");
  return new Promise((resolve) => {
    const socket = new WebSocket(settings.socket + room.path, ["doorward.v1", `doorward.ticket.${ticket}`]);
    socket.onclose = ({ code }) => resolve(code);
    socket.onopen = () => socket.close(4000);
  });
}

function failure(error) {
  if (error instanceof SignedOut) return "The issuer knows no such name and password.";
  if (error instanceof Unreachable) return error.message;
  throw error;
}

// ---- what the connection tells

function happened(event) {
  if (event.kind === "message") return heard(event.message);
  tell(event);
  switch (event.kind) {
    case "connected":
      setState("connected", "good");
      at("again").hidden = true;
      break;
    case "ready":
    case "renewed":
    case "changed":
      setLease({ from: Date.now() / 1000, to: event.expires_at, renewBy: event.renew_by });
      setState("connected", "good");
      break;
    case "asked":
      setState("renewing", "warn");
      break;
    case "left":
      setLease(null);
      setState("not connected", "idle");
      break;
    case "ended":
      setLease(null);
      setState(event.next.does === "reconnect" ? "reconnecting" : (event.name ?? "closed"), "bad");
      at("again").hidden = !["wait", "stop"].includes(event.next.does);
      if (event.next.does === "sign in") signedOut(event.ending.why);
      break;
    case "signed out":
      signedOut("The issuer has ended this session.");
      break;
  }
}

function heard(message) {
  switch (message.type) {
    case "said": {
      const line = document.createElement("li");
      const who = document.createElement("b");
      who.textContent = message.who;
      line.append(who, message.text);
      line.classList.toggle("mine", message.who === me);
      append(at("messages"), line);
      break;
    }
    case "joined":
    case "left":
      at("here").textContent = `Here: ${message.here.join(", ")}`;
      aside(message.who === me && message.type === "joined" ? `You are in ${message.room}` : `${message.who} ${message.type}`);
      break;
    case "sorry":
      aside(message.text);
      break;
  }
}

function aside(text) {
  const line = document.createElement("li");
  line.className = "aside";
  line.textContent = text;
  append(at("messages"), line);
}

// ---- what is shown

function show(isSignedIn) {
  for (const id of ["chat", "who", "tries"]) at(id).hidden = !isSignedIn;
  at("sign-in").hidden = isSignedIn;
  at("me").textContent = me;
}

function signedOut(why) {
  me = "";
  setLease(null);
  at("again").hidden = true;
  at("sign-in-error").textContent = why;
  show(false);
}

function setState(text, tone) {
  at("state").textContent = text;
  at("state").dataset.tone = tone;
}

function setLease(next) {
  lease = next;
  at("lease").hidden = next === null;
  if (next) tick();
}

function tick() {
  if (!lease) return;
  const now = Date.now() / 1000;
  const left = Math.max(0, lease.to - now);
  const due = lease.renewBy - now;
  at("left").value = left / Math.max(1, lease.to - lease.from);
  at("lease").dataset.tone = due > 0 ? "good" : "warn";
  at("expiry").textContent =
    due > 0
      ? `expires in ${Math.ceil(left)} s, renewal falls due in ${Math.ceil(due)} s`
      : `expires in ${Math.ceil(left)} s, renewal is due`;
}

function tell(event) {
  const said = entry(event);
  if (!said) return;
  const line = document.createElement("li");
  line.dataset.tone = said.tone ?? "idle";
  line.dataset.kind = event.kind;
  const head = document.createElement("div");
  head.className = "head";
  const title = document.createElement("strong");
  title.textContent = said.title;
  head.append(title);
  if (said.code) {
    const code = document.createElement("code");
    code.textContent = said.code;
    head.append(code);
  }
  const time = document.createElement("time");
  time.textContent = new Date().toLocaleTimeString("en-GB");
  head.append(time);
  const text = document.createElement("p");
  text.textContent = said.text;
  line.append(head, text);
  at("timeline").querySelector(".empty")?.remove();
  append(at("timeline"), line);
}

function append(list, line) {
  list.append(line);
  while (list.children.length > MOST_SHOWN) list.firstElementChild.remove();
  list.scrollTop = list.scrollHeight;
}

setInterval(tick, 250);
