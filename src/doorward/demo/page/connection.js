// One live connection as its user means it: a fresh ticket for every attempt, renewed when asked, and after its end
// only back where the ending says so. Never without a credential.

import { SignedOut, Unreachable } from "./credential.js";

const CONTROL = '{"type":"doorward.';
const OURS = "doorward:";
const LONGEST_WAIT = 15_000;

// `tell(event)` gets everything that happens, as { kind, … }; what each kind means is story.js's to say.
export class Connection {
  renews = true;
  #settings;
  #credential;
  #tell;
  #socket = null;
  #path = "";
  #attempt = 0; // every attempt, leave and close makes a new one: what an older one still awaits is dropped
  #failures = 0;
  #hasTriedFresh = false;
  #isReady = false;
  #awaitsRenewal = false;

  constructor(settings, credential, tell) {
    this.#settings = settings;
    this.#credential = credential;
    this.#tell = tell;
  }

  open(path) {
    this.leave();
    this.#path = path;
    this.#failures = 0;
    this.#hasTriedFresh = false;
    void this.#enter(false);
  }

  leave() {
    this.#attempt += 1;
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.close(1000);
      this.#tell({ kind: "left" });
    }
  }

  say(text) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify({ type: "say", text }));
    return true;
  }

  async #enter(anew) {
    const attempt = ++this.#attempt;
    try {
      const token = await this.#credential.token({ anew });
      if (attempt !== this.#attempt) return;
      const bought = await buyTicket(token, this.#path);
      if (attempt !== this.#attempt) return;
      if (bought.status !== 201) return this.#end({ status: bought.status, ...bought.problem });
      this.#tell({ kind: "ticket", seconds: bought.ticket.expires_in, connection: bought.ticket.connection });
      this.#connect(bought.ticket.ticket, attempt);
    } catch (error) {
      if (attempt === this.#attempt) this.#stumble(error);
    }
  }

  #connect(ticket, attempt) {
    // the ticket is offered as a subprotocol; doorward.v1 is the one that gets selected, and turns control messages on
    const socket = new WebSocket(this.#settings.socket + this.#path, ["doorward.v1", `doorward.ticket.${ticket}`]);
    this.#socket = socket;
    this.#isReady = this.#awaitsRenewal = false;
    socket.onopen = () => {
      if (attempt === this.#attempt) this.#tell({ kind: "connected", path: this.#path });
    };
    socket.onmessage = ({ data }) => {
      if (attempt !== this.#attempt) return;
      if (typeof data === "string" && data.startsWith(CONTROL)) this.#control(JSON.parse(data));
      else this.#tell({ kind: "message", message: JSON.parse(data) });
    };
    socket.onclose = ({ code, reason }) => {
      if (attempt !== this.#attempt) return;
      this.#socket = null;
      const [name, ...rest] = reason.startsWith(OURS) ? reason.slice(OURS.length).split("; ") : [null];
      const after = rest.find((part) => part.startsWith("retry_after="));
      this.#end({ code, reason: name, retry_after: after && Number(after.slice("retry_after=".length)) });
    };
  }

  #control(message) {
    switch (message.type) {
      case "doorward.ready":
        this.#failures = 0;
        this.#hasTriedFresh = false;
        this.#tell({ kind: this.#readyKind(), ...message });
        this.#isReady = true;
        this.#awaitsRenewal = false;
        break;
      case "doorward.renew":
        this.#tell({ kind: "asked", within: message.within, willRenew: this.renews });
        if (this.renews) void this.#renew();
        break;
      case "doorward.refused":
        this.#awaitsRenewal = false;
        this.#tell({ ...message, kind: "refused" });
        break;
    }
  }

  #readyKind() {
    if (!this.#isReady) return "ready";
    return this.#awaitsRenewal ? "renewed" : "changed";
  }

  async #renew() {
    const attempt = this.#attempt;
    try {
      const token = await this.#credential.token({ anew: true });
      if (attempt !== this.#attempt || this.#socket?.readyState !== WebSocket.OPEN) return;
      this.#awaitsRenewal = true;
      this.#socket.send(JSON.stringify({ type: "doorward.auth", token }));
    } catch (error) {
      // the connection lives on to its deadline, and its end says what comes next
      if (attempt === this.#attempt) this.#tell({ kind: "trouble", text: trouble(error) });
    }
  }

  // What is over, whether a handshake was refused or an open connection closed, and what comes next.
  #end({ status, code, reason, retry_after }) {
    const ending = this.#settings.endings[reason];
    const next = this.#next(ending, code, retry_after);
    this.#attempt += 1;
    this.#tell({ kind: "ended", status, code, name: reason, ending, next });
    if (next.does === "sign in") this.#credential.forget();
    if (next.does === "reconnect") this.#later(next.wait, next.anew);
  }

  #next(ending, code, after) {
    const again = (anew = false, wait = this.#backoff()) => ({ does: "reconnect", anew, wait });
    if (!ending) return code === undefined || code === 1006 || code === 1001 ? again() : { does: "wait" };
    switch (ending.retry) {
      case "refresh":
        return this.renews ? again(true, 0) : { does: "wait" };
      case "one_fresh":
        if (this.#hasTriedFresh) return { does: "stop" };
        this.#hasTriedFresh = true;
        return again(true, 0);
      case "sign_in":
      case "credential":
        return { does: "sign in" };
      case "reconnect":
      case "backoff":
        return again();
      case "after":
        return again(false, after === undefined ? this.#backoff() : after * 1000);
      case "user":
        return { does: "wait" };
      default:
        return { does: "stop" };
    }
  }

  // Full jitter: those who lost their connections together do not come back together.
  #backoff() {
    return Math.random() * Math.min(LONGEST_WAIT, 500 * 2 ** this.#failures++);
  }

  #later(wait, anew) {
    const attempt = this.#attempt;
    setTimeout(() => {
      if (attempt === this.#attempt) void this.#enter(anew);
    }, wait);
  }

  #stumble(error) {
    this.#attempt += 1;
    if (error instanceof SignedOut) return this.#tell({ kind: "signed out" });
    const wait = this.#backoff();
    this.#tell({ kind: "trouble", text: trouble(error), wait });
    this.#later(wait, false);
  }
}

// { status, ticket } or { status, problem }. Throws Unreachable.
export async function buyTicket(token, path) {
  let answer;
  try {
    answer = await fetch("/auth/ticket", {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
      body: JSON.stringify({ path }),
      credentials: "omit",
    });
  } catch {
    throw new Unreachable("the gateway can't be reached");
  }
  const body = await answer.json();
  return answer.status === 201 ? { status: 201, ticket: body } : { status: answer.status, problem: body };
}

function trouble(error) {
  if (error instanceof SignedOut) return "the issuer has ended this session";
  if (error instanceof Unreachable) return error.message;
  throw error;
}
