// Verifies the assertion of Sekisho in nginx: see nginx.conf. For njs 0.7.9 or newer, with nothing but its WebCrypto.

const HEADER = 'x-sekisho-assertion';
const ALGORITHM = 'ES256'; // yours, never the one that a token names
const LEEWAY = 5; // seconds by which clocks may differ

/** Hands the request on when its assertion is right, and answers 401 otherwise. */
async function admit(r) {
    let claims;
    try {
        claims = await verify(r);
    } catch (error) {
        r.error(`no valid assertion: ${error.message}`);
        r.return(401, 'no valid assertion');
        return;
    }
    r.variables.sekisho_sub = claims.sub;
    r.variables.sekisho_ext = String(claims.ext);
    r.internalRedirect('@web_client');
}

async function verify(r) {
    // As they were sent: joined values would hide that there are two.
    const values = r.rawHeadersIn.filter((pair) => pair[0].toLowerCase() === HEADER);
    demand(values.length === 1, 'not exactly one header');
    const parts = values[0][1].split('.');
    demand(parts.length === 3 && parts.every((part) => /^[A-Za-z0-9_-]+$/.test(part)), 'no JWT');

    // Not verified yet: it may choose among the published keys, no more.
    const head = decode(parts[0]);
    demand(head.alg === ALGORITHM && head.typ === 'JWT' && head.crit === undefined, 'not a token of this kind');

    const key = await find(r, head.kid);
    const signature = Buffer.from(parts[2], 'base64url');
    demand(signature.length === 64, 'no signature');
    const signed = Buffer.from(`${parts[0]}.${parts[1]}`);
    const right = await crypto.subtle.verify({ name: 'ECDSA', hash: 'SHA-256' }, key, signature, signed);
    demand(right, 'wrong signature');

    const claims = decode(parts[1]);
    const now = Date.now() / 1000;
    demand(Number.isFinite(claims.exp) && now < claims.exp + LEEWAY, 'expired');
    demand(Number.isFinite(claims.nbf) && now >= claims.nbf - LEEWAY, 'not valid yet');
    demand(claims.iss === r.variables.sekisho_issuer, 'from another issuer');
    demand([].concat(claims.aud).includes(r.variables.sekisho_audience), 'for another audience');
    demand(typeof claims.sub === 'string' && claims.sub !== '', 'names nobody');
    return claims;
}

/** The published key of this kid; a kid that is not known is worth another question, at most every five seconds. */
async function find(r, kid) {
    let reply = await r.subrequest('/.keys/known');
    let jwk = known(reply, kid);
    if (!jwk) {
        reply = await r.subrequest('/.keys/again');
        jwk = known(reply, kid);
    }
    demand(jwk, 'no such key');
    const x = Buffer.from(jwk.x, 'base64url'), y = Buffer.from(jwk.y, 'base64url');
    demand(x.length === 32 && y.length === 32, 'no key of P-256');
    // A SubjectPublicKeyInfo (RFC 5480): a fixed head and the point. Newer versions of njs could take the JWK as it is.
    const head = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d03010703420004', 'hex');
    const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
    return crypto.subtle.importKey('spki', Buffer.concat([head, x, y]), algorithm, false, ['verify']);
}

function known(reply, kid) {
    if (reply.status !== 200 || typeof kid !== 'string') {
        return undefined;
    }
    const ours = (jwk) => jwk.kid === kid && jwk.alg === ALGORITHM && jwk.kty === 'EC' && jwk.crv === 'P-256';
    return JSON.parse(reply.responseText).keys.find(ours);
}

function decode(part) {
    const value = JSON.parse(Buffer.from(part, 'base64url').toString());
    demand(value !== null && typeof value === 'object', 'no JWT');
    return value;
}

function demand(holds, otherwise) {
    if (!holds) {
        throw new Error(otherwise);
    }
}

export default { admit };
