//! [`Whence`]: what the web client is told about where requests come from, put into words once for a client at a host, and
//! not for each request.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use http::HeaderValue;

use super::headers::{self, Origin};

/// Clients that are remembered at once. One takes the slot of another whose address ends alike.
const SLOTS: usize = 1 << 10;

/// Remembers header values.
pub struct Whence(Box<[ArcSwapOption<Told>]>);

#[derive(Debug)]
struct Told {
    client: IpAddr,
    host: HeaderValue,
    address: HeaderValue,
    forwarded: HeaderValue,
}

impl Default for Whence {
    /// Nobody is known.
    fn default() -> Self {
        Self(std::iter::repeat_with(ArcSwapOption::empty).take(SLOTS).collect())
    }
}

impl std::fmt::Debug for Whence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Whence(..)")
    }
}

impl Whence {
    /// The client's address, and the whole of `Forwarded`.
    ///
    /// # Errors
    /// Never, with a host that was a header value.
    pub fn values(&self, origin: &Origin) -> pingora::Result<(HeaderValue, HeaderValue)> {
        let client = origin.client.ip();
        let slot = self.0.get(place(client));
        if let Some(slot) = slot
            && let Some(told) = &*slot.load()
            && told.client == client
            && told.host == origin.host
        {
            return Ok((told.address.clone(), told.forwarded.clone()));
        }
        let (address, forwarded) = origin.forwarded();
        let (address, forwarded) = (headers::value(address)?, headers::value(forwarded)?);
        if let Some(slot) = slot {
            slot.store(Some(Arc::new(Told {
                client,
                // Its own copy: that of the request is a piece of all that the client sent.
                host: HeaderValue::from_bytes(origin.host.as_bytes()).unwrap_or_else(|_| origin.host.clone()),
                address: address.clone(),
                forwarded: forwarded.clone(),
            })));
        }
        Ok((address, forwarded))
    }
}

fn place(client: IpAddr) -> usize {
    let end = match client {
        IpAddr::V4(address) => {
            let [_, _, third, fourth] = address.octets();
            u16::from_be_bytes([third, fourth])
        }
        // Clients of one network differ at the end, networks before it.
        IpAddr::V6(address) => {
            let [_, second, third, fourth, .., last] = address.segments();
            second ^ third ^ fourth ^ last
        }
    };
    usize::from(end) % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::client::ClientAddr;

    fn origin(client: &str, host: &'static str) -> Origin {
        let client = client.parse().unwrap();
        Origin {
            client: ClientAddr::new(client),
            peer: client,
            host: HeaderValue::from_static(host),
        }
    }

    #[test]
    fn each_client_at_each_host_is_told_of_as_itself_whoever_had_its_slot() {
        let whence = Whence::default();
        let origins = [
            origin("192.0.2.7", "in.test"),
            origin("192.0.2.7", "out.test"),
            origin("198.51.2.7", "in.test"),
            origin("2001:db8::7", "in.test:8443"),
        ];
        for origin in origins.iter().chain(&origins) {
            for _ in 0..2 {
                let (address, forwarded) = whence.values(origin).unwrap();
                let made = origin.forwarded();
                assert_eq!((address.as_bytes(), forwarded.as_bytes()), (&*made.0, &*made.1));
            }
        }
    }
}
