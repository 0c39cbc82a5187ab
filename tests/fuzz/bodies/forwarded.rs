//! What the fuzz target `forwarded` does with its input; apart from the target because a test does the same with a
//! bounded number of inputs, on machines that have no fuzzer.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use sekisho::domain::hops::HopField;
use sekisho::proxy::{Protected, TrustedProxies};

/// Peers that are trusted and some that are not.
const PEERS: [&str; 5] = ["10.0.0.1", "fd00::1", "::ffff:10.1.2.3", "192.0.2.9", "2001:db8::9"];
/// What a stranger would like to be.
const CLAIMED: &str = "198.51.100.7";
/// The same, as `Forwarded` has it.
const CLAIM: &str = "for=198.51.100.7;proto=https";
/// Names that no client may use, and some that are nobody's.
const PROTECTED: [&str; 8] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-real-ip",
    "x-original-url",
    "remote-user",
    "remote-groups",
    "x-sekisho-assertion",
];

/// Whatever stands in the fields that name a client: whoever is not trusted is who it is, what a stranger writes to the
/// left of the nearest address never counts, and none of it goes on to the upstream.
///
/// Lines with a colon after a name are fields of that name, the others are of the one that names clients.
pub fn forwarded(bytes: &[u8]) {
    let (lines, headers) = read(bytes);
    for (field, claim) in [
        (HopField::XForwardedFor, HeaderValue::from_static(CLAIMED)),
        (HopField::Forwarded, HeaderValue::from_static(CLAIM)),
    ] {
        resolve(&lines, field, &claim);
    }
    strip(headers);
}

fn resolve(lines: &[HeaderValue], field: HopField, claim: &HeaderValue) {
    let networks = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().expect("a network"));
    let trusted = TrustedProxies::new(networks.to_vec()).naming_clients_in(field);
    let name = HeaderName::from_static(field.as_str());
    for peer in PEERS {
        let peer: IpAddr = peer.parse().expect("an address");
        let resolve = |lines: &[HeaderValue]| {
            let fields = lines.iter().map(|line| (name.clone(), line.clone())).collect();
            trusted.resolve(peer, &fields).ip()
        };
        let client = resolve(lines);
        if !trusted.trusts(peer.to_canonical()) {
            assert_eq!(client, peer.to_canonical(), "a stranger says where it comes from");
            continue;
        }
        let claim = std::slice::from_ref(claim);
        assert_eq!(
            resolve(&[lines, claim].concat()).to_string(),
            CLAIMED,
            "the nearest address counts"
        );
        if let Some(last) = lines.last() {
            // Most proxies add to the line that is there.
            let joined = [last.as_bytes(), b", ", claim[0].as_bytes()].concat();
            let joined = HeaderValue::from_bytes(&joined).expect("two values and a comma");
            assert_eq!(
                resolve(&[joined]).to_string(),
                CLAIMED,
                "a client hides what its proxy says"
            );
        }
        if !trusted.trusts(client) {
            assert_eq!(resolve(&[claim, lines].concat()), client, "a claim to the left counts");
        }
    }
}

fn strip(mut headers: HeaderMap) {
    let protected = Protected::new(
        HeaderName::from_static("x-sekisho-assertion"),
        vec!["__Host-sekisho".to_owned()],
        true,
    );
    let before = headers.clone();
    protected.strip(&mut headers);
    for name in before.keys() {
        let folded: String = name
            .as_str()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        if PROTECTED.contains(&folded.as_str()) {
            assert!(!headers.contains_key(name), "{name} goes on");
        }
        if folded.starts_with("x-other") {
            assert_eq!(
                headers.get_all(name).iter().collect::<Vec<_>>(),
                before.get_all(name).iter().collect::<Vec<_>>(),
                "{name} is lost"
            );
        }
    }
}

fn read(bytes: &[u8]) -> (Vec<HeaderValue>, HeaderMap) {
    let (mut lines, mut headers) = (Vec::new(), HeaderMap::new());
    for line in bytes.split(|b| *b == b'\n').take(64) {
        let colon = line.iter().position(|b| *b == b':');
        let named = colon.and_then(|colon| {
            let name = HeaderName::from_bytes(line.get(..colon)?).ok()?;
            // An address of version 6 has colons too.
            let word = name.as_str().contains('-') || name.as_str() == "forwarded";
            let value = HeaderValue::from_bytes(line.get(colon + 1..)?.trim_ascii()).ok()?;
            word.then_some((name, value))
        });
        if let Some((name, value)) = named {
            headers.append(name, value);
        } else if let Ok(value) = HeaderValue::from_bytes(line) {
            lines.push(value);
        }
    }
    (lines, headers)
}
