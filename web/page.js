// @ts-check
/**
 * The web page of the API: signs the user in, and shows <report-exports>.
 *
 * OpenID Connect: discovery, and the authorization code flow with PKCE, state and nonce (RFC 9700, section 2.1.1).
 * Tokens are in sessionStorage: they end with the tab. All texts of others are shown by textContent.
 */

const TEXTS = {
  signIn: "Sign in",
  signOut: "Sign out",
  welcome: "Sign in to request reports and to download your files.",
  ended: "Your session has ended. Sign in again.",
  signedOut: "You have signed out.",
  notSetUp: "Sign-in is not set up for this page. The operators of this service can set it up.",
  forged: "This sign-in did not begin on this page, or it took too long. Sign in again.",
  /** @param {string} reason */
  refused: (reason) => `The sign-in failed: ${reason}`,
  /** @param {string} reason */
  unreachable: (reason) => `The page cannot reach the sign-in service. Reload the page to try again. (${reason})`,
  incomplete: "A part of the page could not be loaded. Reload the page.",
};

/** What the page keeps in sessionStorage: a sign-in that has begun, and the tokens. */
const STARTED = "report-exports:started";
const SESSION = "report-exports:session";
/** A token that ends within this time is replaced first. */
const MARGIN_MS = 30_000;

/**
 * @typedef {{issuer: string, client_id: string, scope: string, token: "id_token" | "access_token",
 *   audience: string | null, provider: "cognito" | "other"}} SignIn
 * @typedef {{authorization_endpoint: string, token_endpoint: string, end_session_endpoint?: string,
 *   revocation_endpoint?: string}} Provider
 * @typedef {{id_token: string, access_token: string, refresh_token?: string, ends: number}} Session
 */

/** A failure whose message is a text for the user. */
class SignInFailed extends Error {}

/** @type {{api: string, sign_in: SignIn | null}} */
let config;
/** @type {Promise<Provider> | undefined} */
let discovered;
/** @type {Promise<Session> | undefined} */
let refreshing;
const page = {
  user: find("user"),
  notice: find("notice"),
  signIn: find("sign-in"),
  signOut: find("sign-out"),
  main: /** @type {HTMLElement} */ (document.querySelector("main")),
};

page.signIn.textContent = TEXTS.signIn;
page.signOut.textContent = TEXTS.signOut;
page.signIn.addEventListener("click", () => attempt(goToSignIn));
page.signOut.addEventListener("click", () => attempt(signOut));
await attempt(start);

async function start() {
  const answer = await fetch(new URL("config.json", import.meta.url));
  if (!answer.ok) throw new Error(`config.json: ${answer.status}`);
  config = await answer.json();
  if (!config.sign_in) {
    page.notice.textContent = TEXTS.notSetUp;
    return;
  }
  const query = new URLSearchParams(location.search);
  if (query.has("code") || query.has("error")) await complete(query);
  if (session()) showExports();
  else showSignIn(TEXTS.welcome);
}

/** @param {() => Promise<void>} work what may fail, with a message for the user */
async function attempt(work) {
  try {
    await work();
  } catch (error) {
    const known = error instanceof SignInFailed;
    const text = known ? error.message : TEXTS.unreachable(String(error instanceof Error ? error.message : error));
    if (known) showSignIn(text);
    else page.notice.textContent = text;
  }
}

/** @param {string} text why the user is asked to sign in */
function showSignIn(text) {
  document.querySelector("report-exports")?.remove();
  page.notice.textContent = text;
  page.signIn.hidden = false;
  page.signOut.hidden = page.user.hidden = true;
}

function showExports() {
  const claims = payload(/** @type {Session} */ (session()).id_token);
  page.user.textContent = String(claims.email ?? claims.preferred_username ?? claims.name ?? claims.sub);
  page.signIn.hidden = true;
  page.signOut.hidden = page.user.hidden = false;
  page.notice.textContent = customElements.get("report-exports") ? "" : TEXTS.incomplete;
  const exports = document.createElement("report-exports");
  const one = new URLSearchParams(location.search).get("export");
  Object.assign(exports, { getToken });
  exports.setAttribute("api", config.api);
  if (one) exports.setAttribute("export", one);
  page.main.append(exports);
}

/**
 * A token for the API.
 * @param {{anew?: boolean}} [how] anew: the API has refused the last token
 * @returns {Promise<string>}
 */
async function getToken({ anew = false } = {}) {
  let current = session();
  if (current && (anew || current.ends - MARGIN_MS < Date.now())) {
    refreshing ??= refresh(current).finally(() => (refreshing = undefined));
    current = await refreshing.catch((error) => {
      if (error instanceof SignInFailed) return null;
      throw error; // no network: the session may still be good
    });
  }
  if (current) return current[signIn().token];
  sessionStorage.removeItem(SESSION);
  showSignIn(TEXTS.ended);
  throw new SignInFailed(TEXTS.ended);
}

async function goToSignIn() {
  const { client_id, scope, audience } = signIn();
  const started = { state: random(), nonce: random(), verifier: random() };
  const one = new URLSearchParams(location.search).get("export");
  sessionStorage.setItem(STARTED, JSON.stringify({ ...started, export: one }));
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(started.verifier));
  go((await provider()).authorization_endpoint, {
    response_type: "code",
    client_id,
    scope,
    ...(audience && { audience }),
    redirect_uri: here(),
    state: started.state,
    nonce: started.nonce,
    code_challenge: base64url(new Uint8Array(digest)),
    code_challenge_method: "S256",
  });
}

/**
 * Ends a sign-in: the issuer has sent the user back.
 * @param {URLSearchParams} query
 */
async function complete(query) {
  const started = JSON.parse(sessionStorage.getItem(STARTED) ?? "null");
  sessionStorage.removeItem(STARTED);
  history.replaceState(null, "", started?.export ? `${here()}?export=${encodeURIComponent(started.export)}` : here());
  const issuer = query.get("iss"); // RFC 9207
  if (!started || query.get("state") !== started.state || (issuer !== null && issuer !== signIn().issuer))
    throw new SignInFailed(TEXTS.forged);
  if (query.has("error")) throw new SignInFailed(TEXTS.refused(query.get("error_description") ?? `${query.get("error")}`));
  const fields = { code: `${query.get("code")}`, redirect_uri: here(), code_verifier: started.verifier };
  const tokens = await request({ grant_type: "authorization_code", ...fields });
  // The token came from the issuer itself, over TLS, so its signature need not be checked (OIDC Core, 3.1.3.7).
  const claims = payload(tokens.id_token);
  const audiences = [claims.aud].flat();
  if (claims.nonce !== started.nonce || claims.iss !== signIn().issuer || !audiences.includes(signIn().client_id))
    throw new SignInFailed(TEXTS.forged);
  keep(tokens);
}

/**
 * @param {Session} current
 * @returns {Promise<Session>}
 */
async function refresh(current) {
  if (!current.refresh_token) throw new SignInFailed(TEXTS.ended);
  // An issuer need not send a new refresh token or ID token. The old ID token then still names the user.
  const tokens = await request({ grant_type: "refresh_token", refresh_token: current.refresh_token });
  if (!tokens[signIn().token]) throw new SignInFailed(TEXTS.ended);
  return keep({ ...current, ...tokens });
}

async function signOut() {
  const current = session();
  const { client_id, provider: kind } = signIn();
  sessionStorage.removeItem(SESSION);
  showSignIn(TEXTS.signedOut);
  const { authorization_endpoint, end_session_endpoint, revocation_endpoint } = await provider();
  if (revocation_endpoint && current?.refresh_token) {
    const body = new URLSearchParams({ token: current.refresh_token, client_id });
    await fetch(revocation_endpoint, { method: "POST", body }).catch(() => {}); // it ends by itself
  }
  // "Logout endpoint", Cognito developer guide; OpenID Connect RP-Initiated Logout 1.0, section 2
  if (kind === "cognito") go(`${new URL("/logout", authorization_endpoint)}`, { client_id, logout_uri: here() });
  else if (end_session_endpoint && current)
    go(end_session_endpoint, { client_id, id_token_hint: current.id_token, post_logout_redirect_uri: here() });
}

/**
 * Calls the issuer's token endpoint.
 * @param {Record<string, string>} fields
 */
async function request(fields) {
  const body = new URLSearchParams({ client_id: signIn().client_id, ...fields });
  const answer = await fetch((await provider()).token_endpoint, { method: "POST", body });
  const tokens = await answer.json().catch(() => ({}));
  if (answer.status >= 500) throw new Error(`the token endpoint answered ${answer.status}`);
  if (!answer.ok) throw new SignInFailed(TEXTS.refused(tokens.error_description ?? tokens.error ?? answer.status));
  return tokens;
}

/** The issuer's addresses (OpenID Connect Discovery 1.0, section 4), read once. */
function provider() {
  discovered ??= (async () => {
    const { issuer } = signIn();
    const answer = await fetch(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`);
    if (!answer.ok) throw new Error(`the issuer answered ${answer.status}`);
    const described = await answer.json();
    if (described.issuer !== issuer) throw new Error(`the issuer calls itself ${described.issuer}`);
    return described;
  })();
  discovered.catch(() => (discovered = undefined));
  return discovered;
}

/** @returns {Session | null} */
function session() {
  return JSON.parse(sessionStorage.getItem(SESSION) ?? "null");
}

/**
 * @param {any} tokens an answer of the token endpoint
 * @returns {Session}
 */
function keep({ id_token, access_token, refresh_token, expires_in }) {
  const kept = { id_token, access_token, refresh_token, ends: Date.now() + (expires_in ?? 300) * 1000 };
  sessionStorage.setItem(SESSION, JSON.stringify(kept));
  return kept;
}

/** @returns {SignIn} */
function signIn() {
  return /** @type {SignIn} */ (config.sign_in);
}

/** The page's address, as the issuer knows it. */
function here() {
  return `${config.api}/`;
}

/**
 * Leaves the page. An issuer cannot make it run a script: javascript: is not an address of the web.
 * @param {string} address
 * @param {Record<string, string>} query
 */
function go(address, query) {
  const url = new URL(address);
  if (!/^https?:$/.test(url.protocol)) throw new Error(`not an address: ${address}`);
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  location.assign(url);
}

/**
 * The claims of a token; none if it is not a JWT.
 * @param {string} token
 * @returns {Record<string, unknown>}
 */
function payload(token) {
  try {
    const text = atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"));
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(text, (each) => each.charCodeAt(0))));
  } catch {
    return {};
  }
}

function random() {
  return base64url(crypto.getRandomValues(new Uint8Array(32)));
}

/** @param {Uint8Array} bytes */
function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

/** @param {string} id */
function find(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}
