// A signed-in user's tokens, in memory only: a reload forgets them. One refresh at a time, however many ask.

export class SignedOut extends Error {}
export class Unreachable extends Error {}

export class Credential {
  #url;
  #access = "";
  #refresh = "";
  #expiresAt = 0;
  #underway = null;

  constructor(issuer) {
    this.#url = `${issuer}/token`;
  }

  get isHeld() {
    return this.#refresh !== "";
  }

  async signIn(username, password) {
    this.forget();
    await this.#ask({ username, password });
  }

  forget() {
    this.#access = this.#refresh = "";
    this.#expiresAt = 0;
  }

  // An access token with some life left in it; a new one where that is not so, or where `anew` asks for one.
  async token({ anew = false } = {}) {
    if (!this.isHeld) throw new SignedOut();
    if (anew || this.#expiresAt - Date.now() < 2000) {
      this.#underway ??= this.#ask({ refresh_token: this.#refresh }).finally(() => (this.#underway = null));
      await this.#underway;
    }
    return this.#access;
  }

  async #ask(body) {
    let answer;
    try {
      answer = await fetch(this.#url, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
        credentials: "omit",
      });
    } catch {
      throw new Unreachable("the token issuer can't be reached");
    }
    if (answer.status === 401) {
      this.forget();
      throw new SignedOut();
    }
    if (!answer.ok) throw new Unreachable(`the token issuer answered ${answer.status}`);
    const tokens = await answer.json();
    this.#access = tokens.access_token;
    this.#refresh = tokens.refresh_token;
    this.#expiresAt = Date.now() + tokens.expires_in * 1000;
  }
}

// The same token with somebody else's name in it, under the signature that was made for the first.
export function forge(token, subject) {
  const [header, payload, signature] = token.split(".");
  const claims = JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/")));
  claims.sub = subject;
  const forged = btoa(JSON.stringify(claims)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return [header, forged, signature].join(".");
}
