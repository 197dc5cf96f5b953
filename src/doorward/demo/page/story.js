// What happened, in words: each event of a connection as one entry of the timeline. Text only, never markup.

const RETRIES = {
  reconnect: (wait) => (wait < 50 ? "Coming back with a fresh token." : `Coming back in ${seconds(wait)}.`),
  "sign in": () => "The page stops here: signing in again is the way back.",
  stop: () => "The page stops here: trying again would change nothing.",
  wait: () => "The page waits for you.",
};

const seconds = (milliseconds) => `${(milliseconds / 1000).toFixed(1)} s`;
const until = (epoch) => Math.max(0, Math.round(epoch - Date.now() / 1000));

// { tone, title, code, text } of an event, or null for what is no news.
export function entry(event) {
  switch (event.kind) {
    case "signed in":
      return { tone: "good", title: "Signed in", code: "POST /token", text: event.text };
    case "signed out":
      return { tone: "bad", title: "Signed out", text: "The issuer has ended this session." };
    case "ticket":
      return {
        title: "Ticket fetched",
        code: "POST /auth/ticket → 201",
        text: `Good for one handshake within ${event.seconds} s. It stands for the token, which stays out of the URL.`,
      };
    case "connected":
      return {
        tone: "good",
        title: "Connected",
        code: `101 ${event.path}`,
        text: "The ticket was checked and spent before the backend heard of us.",
      };
    case "ready":
      return {
        tone: "good",
        title: "Ready",
        code: "doorward.ready",
        text: `As ${event.subject}, for ${until(event.expires_at)} s: no longer than the token behind the ticket.`,
      };
    case "asked":
      return {
        tone: "warn",
        title: "Asked to renew",
        code: "doorward.renew",
        text: event.willRenew
          ? `Within ${event.within} s. A fresh token is on its way, and the chat goes on.`
          : `Within ${event.within} s. Renewing is switched off, so this connection will end.`,
      };
    case "renewed":
      return {
        tone: "good",
        title: "Renewed",
        code: "doorward.auth → doorward.ready",
        text: `The same connection, for another ${until(event.expires_at)} s.`,
      };
    case "changed":
      return { tone: "warn", title: "Rights changed", code: "doorward.ready", text: "An operator gave other roles." };
    case "refused":
      return { tone: "bad", title: "Refused", code: `doorward.refused ${event.reason}`, text: "The connection stays." };
    case "left":
      return { title: "Left", code: "1000", text: "Closed from here." };
    case "trouble":
      return {
        tone: "bad",
        title: "Trouble",
        text: `${capital(event.text)}.${event.wait === undefined ? "" : ` Again in ${seconds(event.wait)}.`}`,
      };
    case "ended":
      return ended(event);
    case "note":
      return event;
    default:
      return null;
  }
}

function ended({ status, code, name, ending, next }) {
  const then = RETRIES[next.does](next.wait);
  if (status !== undefined) {
    const why = ending ? ending.why : "No reason was given.";
    return { tone: "bad", title: `Refused: ${name ?? status}`, code: `POST /auth/ticket → ${status}`, text: `${why} ${then}` };
  }
  if (ending) return { tone: "bad", title: `Closed: ${name}`, code: `${code} doorward:${name}`, text: `${ending.why} ${then}` };
  const why =
    code === 1006
      ? "Cut, or refused before it opened: a browser is not told which."
      : "The chat behind the door closed it; the code is its own.";
  return { tone: "bad", title: "Closed", code: String(code), text: `${why} ${then}` };
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
