//! What a proxy in front says about its client before TLS begins: the PROXY protocol, versions 1 and 2.
//!
//! Only peers that the operator listed are read this way, and these must begin with it; from anybody else the same bytes
//! are a broken TLS handshake.

use std::io;
use std::net::SocketAddr;

use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest line of version 1, with its end.
const MOST_V1_BYTES: usize = 107;
/// The longest header of version 2. What a proxy adds (names, certificates of its clients) is skipped.
const MOST_V2_BYTES: usize = 4096;
/// The head of version 2, which says how long the rest is.
const V2_HEAD_BYTES: usize = 16;

const V1_START: &[u8] = b"PROXY ";
const V2_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// What was said, and what came after it.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    /// The client; `None` where the proxy speaks for itself, as when it looks whether we are well.
    pub client: Option<SocketAddr>,
    /// The first bytes of TLS, as far as they came along.
    pub rest: Vec<u8>,
}

/// Reads the header.
///
/// # Errors
/// When the connection ends or fails before it is complete, or what comes is something else.
pub async fn read(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<Said> {
    let mut bytes = Vec::with_capacity(512);
    loop {
        match look(&bytes) {
            Look::More => {}
            Look::Complete { client, length } => {
                let rest = bytes.split_off(length);
                return Ok(Said { client, rest });
            }
            Look::Broken => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "no PROXY header, or a broken one",
                ));
            }
        }
        let room = MOST_V2_BYTES.saturating_sub(bytes.len()) as u64;
        if (&mut *socket).take(room).read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// What the bytes so far are.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    More,
    Complete { client: Option<SocketAddr>, length: usize },
    Broken,
}

fn look(bytes: &[u8]) -> Look {
    let begins = |start: &[u8]| bytes.iter().zip(start).all(|(byte, expected)| byte == expected);
    let found = if begins(V1_START) {
        look_v1(bytes)
    } else if begins(V2_START) {
        look_v2(bytes)
    } else {
        None
    };
    found.unwrap_or(Look::Broken)
}

fn look_v1(bytes: &[u8]) -> Option<Look> {
    let window = bytes.get(..MOST_V1_BYTES).unwrap_or(bytes);
    let Some(end) = window.windows(2).position(|two| two == b"\r\n") else {
        return (bytes.len() < MOST_V1_BYTES).then_some(Look::More);
    };
    let length = end + 2;
    let header = v1::Header::try_from(bytes.get(..length)?).ok()?;
    let client = match header.addresses {
        v1::Addresses::Tcp4(four) => Some(SocketAddr::from((four.source_address, four.source_port))),
        v1::Addresses::Tcp6(six) => Some(SocketAddr::from((six.source_address, six.source_port))),
        v1::Addresses::Unknown => None,
    };
    Some(Look::Complete { client, length })
}

fn look_v2(bytes: &[u8]) -> Option<Look> {
    let Some(head) = bytes.get(..V2_HEAD_BYTES) else {
        return Some(Look::More);
    };
    let length = V2_HEAD_BYTES + usize::from(u16::from_be_bytes(head.get(14..)?.try_into().ok()?));
    if length > MOST_V2_BYTES {
        return None;
    }
    let Some(whole) = bytes.get(..length) else {
        return Some(Look::More);
    };
    let header = v2::Header::try_from(whole).ok()?;
    let client = match (header.command, header.addresses) {
        (v2::Command::Proxy, _) if header.protocol == v2::Protocol::Datagram => return None,
        (v2::Command::Proxy, v2::Addresses::IPv4(four)) => {
            Some(SocketAddr::from((four.source_address, four.source_port)))
        }
        (v2::Command::Proxy, v2::Addresses::IPv6(six)) => Some(SocketAddr::from((six.source_address, six.source_port))),
        (v2::Command::Local, _) | (v2::Command::Proxy, v2::Addresses::Unspecified | v2::Addresses::Unix(_)) => None,
    };
    Some(Look::Complete { client, length })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let mut bytes = V2_START.to_vec();
        bytes.extend([0x20 | command, family]);
        bytes.extend(u16::try_from(addresses.len()).unwrap().to_be_bytes());
        bytes.extend(addresses);
        bytes
    }

    async fn said(bytes: &[u8]) -> Option<(Option<String>, Vec<u8>)> {
        let mut socket = bytes;
        let said = read(&mut socket).await.ok()?;
        let rest = [said.rest, socket.to_vec()].concat();
        Some((said.client.map(|client| client.to_string()), rest))
    }

    const FOUR: &[u8] = &[203, 0, 113, 7, 10, 0, 0, 1, 0x1f, 0x90, 1, 187];

    #[tokio::test]
    async fn both_versions_name_the_client_and_leave_what_follows() {
        let six = [
            &[0x20, 1, 0xd, 0xb8][..],
            &[0; 11],
            &[7],
            &[0; 16],
            &[0x1f, 0x90, 1, 187],
        ]
        .concat();
        let with_more = [FOUR, &[4, 0, 2, 9, 9]].concat();
        for (header, client) in [
            (
                b"PROXY TCP4 203.0.113.7 10.0.0.1 8080 443\r\n".to_vec(),
                Some("203.0.113.7:8080"),
            ),
            (
                b"PROXY TCP6 2001:db8::7 2001:db8::1 8080 443\r\n".to_vec(),
                Some("[2001:db8::7]:8080"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (v2(1, 0x11, FOUR), Some("203.0.113.7:8080")),
            (v2(1, 0x21, &six), Some("[2001:db8::7]:8080")),
            (v2(1, 0x11, &with_more), Some("203.0.113.7:8080")),
            (v2(0, 0x00, &[]), None),
            (v2(0, 0x11, FOUR), None),
            (v2(1, 0x00, &[]), None),
        ] {
            let bytes = [&header[..], b"\x16\x03\x01 and so on"].concat();
            let expected = (client.map(str::to_owned), b"\x16\x03\x01 and so on".to_vec());
            assert_eq!(said(&bytes).await, Some(expected), "{header:?}");
        }
    }

    #[tokio::test]
    async fn anything_else_is_refused_at_its_first_wrong_byte_and_never_waited_for_without_end() {
        let long = [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat();
        for broken in [
            &b"\x16"[..],
            b"GET / HTTP/1.1\r\n",
            b"PROXY TCP4 203.0.113.7\r\n",
            b"PROXY TCP4 203.0.113.7 10.0.0.1 99999 443\r\n",
            &long,
            &v2(1, 0x12, FOUR),
            &v2(1, 0x11, &[1, 2, 3]),
            &v2(1, 0x11, &vec![0; MOST_V2_BYTES]),
            &v2(5, 0x11, FOUR),
        ] {
            assert_eq!(look(broken), Look::Broken, "{broken:?}");
        }
        assert_eq!(said(b"PROXY TCP4 203.0.113.7").await, None, "it ends too early");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic_and_a_header_cut_short_is_waited_for(
            noise in proptest::collection::vec(any::<u8>(), 0..300),
            cut in 0_usize..27,
        ) {
            for start in [&b""[..], V1_START, V2_START] {
                let _ = look(&[start, &noise].concat());
            }
            let whole = v2(1, 0x11, FOUR);
            prop_assert_eq!(look(&whole[..cut.min(whole.len() - 1)]), Look::More);
        }
    }
}
