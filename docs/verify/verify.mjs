// Verifies the assertion of Sekisho with what Node.js (18 or newer) has: no package is needed.
//
// Copy everything above the last part, which is a server that shows its use: GET / answers 200 with the account's
// id, or 401. It is started with: node verify.mjs

import { createPublicKey, verify as checkSignature } from 'node:crypto';
import { createServer } from 'node:http';

const HEADER = 'x-sekisho-assertion';
const JWKS_URL = process.env.JWKS_URL ?? 'https://phone.example.com/.well-known/sekisho/jwks.json';
const ISSUER = process.env.ISSUER ?? 'https://phone.example.com';
const AUDIENCE = process.env.AUDIENCE ?? 'sekisho-upstream';
const ALGORITHM = 'ES256'; // yours, never the one that a token names
const LEEWAY = 5; // seconds by which clocks may differ
const KEEP = Number(process.env.KEYS_KEEP ?? 300); // seconds after which the keys are fetched again
const STALE = 3600; // seconds for which they are used when they cannot be fetched
const PAUSE = 5; // seconds between two fetches, whatever kid strangers make up

/** Answer 401, and do not fall back to anything. */
class Refused extends Error {}

const keys = { set: new Map(), fetched: -Infinity, tried: -Infinity, fetching: null };

async function findKey(kid) {
  const now = performance.now() / 1000;
  const fresh = keys.set.has(kid) && now - keys.fetched < KEEP;
  if (!fresh && !keys.fetching && now - keys.tried >= PAUSE) {
    keys.tried = now;
    keys.fetching = fetchKeys()
      .then((set) => Object.assign(keys, { set, fetched: now }))
      // The keys that are there stay in use for a while.
      .catch((error) => console.error(`cannot fetch ${JWKS_URL}: ${error.cause ?? error}`))
      .finally(() => { keys.fetching = null; });
  }
  if (!fresh) await keys.fetching; // many requests with a new kid cause one fetch
  const key = keys.set.get(kid);
  if (!key || now - keys.fetched > STALE) throw new Refused('no such key');
  return key;
}

async function fetchKeys() {
  // The keys come from the configured address, and from nowhere it might point to.
  const answer = await fetch(JWKS_URL, { redirect: 'error', signal: AbortSignal.timeout(5000) });
  if (answer.status !== 200) throw new Error(`status ${answer.status}`);
  const { keys: published } = await answer.json();
  const ours = published.filter((jwk) => jwk.alg === ALGORITHM && jwk.kty === 'EC' && jwk.crv === 'P-256');
  return new Map(ours.map((jwk) => [jwk.kid, createPublicKey({ key: jwk, format: 'jwk' })]));
}

/** The claims of the person who asks, or Refused. `rawHeaders` are those of the request, names and values in turn. */
export async function verify(rawHeaders) {
  const values = rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1].toLowerCase() === HEADER);
  if (values.length !== 1) throw new Refused('not exactly one assertion');
  const parts = values[0].split('.');
  if (parts.length !== 3 || !parts.every((part) => /^[\w-]+$/.test(part))) throw new Refused('no JWT');
  // Not verified yet: it may choose among the published keys, no more.
  const head = decode(parts[0]);
  if (head.alg !== ALGORITHM || head.typ !== 'JWT' || 'crit' in head) throw new Refused('not a token of this kind');
  const key = await findKey(head.kid);
  const signature = Buffer.from(parts[2], 'base64url');
  const signed = Buffer.from(`${parts[0]}.${parts[1]}`);
  if (!checkSignature('sha256', signed, { key, dsaEncoding: 'ieee-p1363' }, signature)) throw new Refused('signature');
  const claims = decode(parts[1]);
  const now = Date.now() / 1000;
  if (!Number.isFinite(claims.exp) || now >= claims.exp + LEEWAY) throw new Refused('expired');
  if (!Number.isFinite(claims.nbf) || now < claims.nbf - LEEWAY) throw new Refused('not valid yet');
  if (claims.iss !== ISSUER) throw new Refused('issuer');
  if (![claims.aud].flat().includes(AUDIENCE)) throw new Refused('audience');
  if (typeof claims.sub !== 'string' || claims.sub === '') throw new Refused('names nobody');
  return claims;
}

function decode(part) {
  try {
    const value = JSON.parse(Buffer.from(part, 'base64url').toString());
    if (value !== null && typeof value === 'object') return value;
  } catch { /* refused below */ }
  throw new Refused('no JWT');
}

const server = createServer(async (request, response) => {
  try {
    const claims = await verify(request.rawHeaders);
    response.end(claims.sub);
  } catch (error) {
    if (!(error instanceof Refused)) console.error(error);
    response.writeHead(401).end('no valid assertion');
  }
});
server.listen(Number(process.env.PORT ?? 5000), '127.0.0.1', () => {
  console.log(`listening on 127.0.0.1:${server.address().port}`);
});
