//! Whom proxies say that they serve: `X-Forwarded-For` and `Forwarded` (RFC 7239), read from the right.
//!
//! Each proxy adds whom it serves at the right, so what a client wrote itself is at the left. It may hold anything,
//! quotes that never close included: nothing of it changes how what follows is read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The field in which proxies name their clients. The other one is not read, whatever it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HopField {
    /// `X-Forwarded-For: 203.0.113.9, 10.0.0.5`
    #[default]
    XForwardedFor,
    /// `Forwarded: for=203.0.113.9;proto=https, for="[2001:db8::9]"`
    Forwarded,
}

impl HopField {
    /// The name of the field, as operators write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        }
    }

    /// The hops of one field line, the nearest first; `None` is one that cannot be read or does not say an address.
    pub fn hops(self, line: &[u8]) -> impl Iterator<Item = Option<IpAddr>> {
        let elements = Elements {
            rest: Some(line),
            has_quotes: self == Self::Forwarded,
        };
        // A list may have empty elements, which say nothing (RFC 9110 section 5.6.1).
        let said = elements.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty());
        said.map(move |element| match self {
            Self::XForwardedFor => listed(element),
            Self::Forwarded => forwarded(element),
        })
    }
}

/// The elements of a list, the last first.
struct Elements<'a> {
    rest: Option<&'a [u8]>,
    has_quotes: bool,
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let comma = if self.has_quotes {
            last_outside_quotes(rest, b',')
        } else {
            rest.iter().rposition(|byte| *byte == b',')
        };
        let Some(comma) = comma else {
            self.rest = None;
            return Some(rest);
        };
        self.rest = rest.get(..comma);
        rest.get(comma + 1..)
    }
}

/// The last place of `wanted` that is in no quoted string. Read backwards, a sound element at the right ends where it
/// ends, whatever stands before it.
fn last_outside_quotes(text: &[u8], wanted: u8) -> Option<usize> {
    let mut inside = false;
    for (at, byte) in text.iter().enumerate().rev() {
        if *byte == b'"' {
            let escapes = text.iter().take(at).rev().take_while(|byte| **byte == b'\\').count();
            // Within a quoted string, a quote after a backslash is a character of it.
            inside ^= !inside || escapes.is_multiple_of(2);
        } else if *byte == wanted && !inside {
            return Some(at);
        }
    }
    None
}

/// An address as `X-Forwarded-For` has it: bare, with a port, or in brackets.
fn listed(element: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(element).ok()?;
    let bare = text.parse::<IpAddr>().ok();
    bare.or_else(|| node(text)).map(|address| address.to_canonical())
}

/// The one `for` of an element of `Forwarded`.
fn forwarded(element: &[u8]) -> Option<IpAddr> {
    let mut rest = Some(element);
    let mut named = None;
    while let Some(pairs) = rest {
        let semicolon = last_outside_quotes(pairs, b';');
        let pair = semicolon.map_or(Some(pairs), |at| pairs.get(at + 1..))?.trim_ascii();
        rest = semicolon.and_then(|at| pairs.get(..at));
        if pair.is_empty() {
            continue;
        }
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (pair.get(..equals)?, pair.get(equals + 1..)?);
        if name.eq_ignore_ascii_case(b"for") && named.replace(value).is_some() {
            // Two of them are two readings.
            return None;
        }
    }
    node(&unquoted(named?)?).map(|address| address.to_canonical())
}

/// The value of a token or a quoted string.
fn unquoted(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    let Some(inner) = text.strip_prefix('"') else {
        return (!text.contains('"')).then(|| text.to_owned());
    };
    let mut characters = inner.strip_suffix('"')?.chars();
    let mut value = String::with_capacity(inner.len());
    while let Some(character) = characters.next() {
        match character {
            '"' => return None,
            '\\' => value.push(characters.next()?),
            other => value.push(other),
        }
    }
    Some(value)
}

/// A node (RFC 7239 section 6): IPv4, or IPv6 in brackets, each with a port or without. `unknown` and names that a proxy
/// made up are no addresses.
fn node(text: &str) -> Option<IpAddr> {
    let (address, port) = if let Some(rest) = text.strip_prefix('[') {
        let (inside, after) = rest.split_once(']')?;
        (IpAddr::V6(inside.parse::<Ipv6Addr>().ok()?), after)
    } else {
        let end = text.find(':').unwrap_or(text.len());
        let (address, after) = text.split_at_checked(end)?;
        (IpAddr::V4(address.parse::<Ipv4Addr>().ok()?), after)
    };
    let sound = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
    sound.then_some(address)
}

/// Digits, or a name that a proxy made up.
fn is_port(text: &str) -> bool {
    let made_up = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    };
    let digits = (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits || text.strip_prefix('_').is_some_and(made_up)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn hops(field: HopField, line: &str) -> Vec<String> {
        let shown = |hop: Option<IpAddr>| hop.map_or_else(|| "?".to_owned(), |address| address.to_string());
        field.hops(line.as_bytes()).map(shown).collect()
    }

    #[rstest]
    #[case::bare("203.0.113.9", &["203.0.113.9"])]
    #[case::several("1.1.1.1, 203.0.113.9,10.0.0.5", &["10.0.0.5", "203.0.113.9", "1.1.1.1"])]
    #[case::port("203.0.113.9:4711", &["203.0.113.9"])]
    #[case::ipv6("2001:db8::9", &["2001:db8::9"])]
    #[case::brackets("[2001:db8::9]", &["2001:db8::9"])]
    #[case::brackets_and_port("[2001:db8::9]:443", &["2001:db8::9"])]
    #[case::mapped("::ffff:203.0.113.9", &["203.0.113.9"])]
    #[case::empty("", &[])]
    #[case::empties(" , 203.0.113.9, ,", &["203.0.113.9"])]
    #[case::unknown("203.0.113.9, unknown", &["?", "203.0.113.9"])]
    #[case::made_up("_hidden", &["?"])]
    #[case::quotes("\"203.0.113.9\"", &["?"])]
    #[case::ipv4_in_brackets("[203.0.113.9]", &["?"])]
    #[case::leading_zero("203.0.113.09", &["?"])]
    #[case::short("127.1", &["?"])]
    #[case::number("3405803785", &["?"])]
    #[case::zone("fe80::1%eth0", &["?"])]
    #[case::bad_port("203.0.113.9:x", &["?"])]
    #[case::long_port("203.0.113.9:123456", &["?"])]
    #[case::no_port("203.0.113.9:", &["?"])]
    #[case::socket("unix:", &["?"])]
    #[case::open_bracket("[2001:db8::9", &["?"])]
    #[case::more_after_brackets("[2001:db8::9]x", &["?"])]
    fn what_proxies_write_into_x_forwarded_for(#[case] line: &str, #[case] wanted: &[&str]) {
        assert_eq!(hops(HopField::XForwardedFor, line), wanted);
    }

    #[rstest]
    #[case::token("for=203.0.113.9", &["203.0.113.9"])]
    #[case::case_of_name("By=10.0.0.5;FOR=203.0.113.9;Proto=https", &["203.0.113.9"])]
    #[case::quoted("for=\"203.0.113.9:4711\"", &["203.0.113.9"])]
    #[case::ipv6("for=\"[2001:db8::9]\"", &["2001:db8::9"])]
    #[case::ipv6_and_port("for=\"[2001:db8::9]:4711\";proto=https", &["2001:db8::9"])]
    #[case::made_up_port("for=\"203.0.113.9:_a.b-c\"", &["203.0.113.9"])]
    #[case::mapped("for=\"[::ffff:203.0.113.9]\"", &["203.0.113.9"])]
    #[case::several("for=1.1.1.1, for=203.0.113.9;by=\"[::1]\"", &["203.0.113.9", "1.1.1.1"])]
    #[case::blanks("for=1.1.1.1 ; proto=https ,\tfor=203.0.113.9", &["203.0.113.9", "1.1.1.1"])]
    #[case::comma_in_quotes("for=1.1.1.1;host=\"a,b;for=6.6.6.6\"", &["1.1.1.1"])]
    #[case::escapes("for=\"203.0.113\\.9\"", &["203.0.113.9"])]
    #[case::escaped_quote("for=1.1.1.1;host=\"a\\\", for=6.6.6.6\"", &["1.1.1.1"])]
    #[case::escaped_backslash("for=1.1.1.1;host=\"a\\\\\", for=203.0.113.9", &["203.0.113.9", "1.1.1.1"])]
    #[case::unknown("for=unknown", &["?"])]
    #[case::made_up("for=_hidden", &["?"])]
    #[case::made_up_quoted("for=\"_SEVKISEK\"", &["?"])]
    #[case::does_not_say("by=203.0.113.9;proto=https", &["?"])]
    #[case::twice("for=203.0.113.9;for=198.51.100.7", &["?"])]
    #[case::ipv6_without_brackets("for=\"2001:db8::9\"", &["?"])]
    #[case::no_value("for", &["?"])]
    #[case::empty_value("for=", &["?"])]
    #[case::blank_around_equals("for = 203.0.113.9", &["?"])]
    #[case::half_quoted("for=\"203.0.113.9", &["?"])]
    #[case::quote_within("for=203.0.113.9\"", &["?"])]
    #[case::empties(",;, for=203.0.113.9;,", &["203.0.113.9", "?"])]
    fn what_proxies_write_into_forwarded(#[case] line: &str, #[case] wanted: &[&str]) {
        assert_eq!(hops(HopField::Forwarded, line), wanted);
    }

    fn address() -> impl Strategy<Value = IpAddr> {
        let four = any::<[u8; 4]>().prop_map(IpAddr::from);
        let six = any::<[u8; 16]>().prop_map(IpAddr::from);
        prop_oneof![four, six]
    }

    /// Every way in which a sound proxy writes an address.
    fn written(field: HopField, address: IpAddr, style: u8) -> String {
        let bare = match address {
            IpAddr::V4(four) => four.to_string(),
            IpAddr::V6(six) if field == HopField::XForwardedFor && style.is_multiple_of(2) => six.to_string(),
            IpAddr::V6(six) => format!("[{six}]"),
        };
        let port = if style & 4 == 0 || !(bare.starts_with('[') || address.is_ipv4()) {
            ""
        } else {
            ":4711"
        };
        match field {
            HopField::XForwardedFor => format!("{bare}{port}"),
            HopField::Forwarded if style & 8 == 0 => format!("for=\"{bare}{port}\""),
            HopField::Forwarded => format!("proto=https;for=\"{bare}{port}\";host=\"a\\\"b,c;d\""),
        }
    }

    proptest! {
        #[test]
        fn whatever_a_client_wrote_the_next_proxy_is_heard(
            theirs in prop::collection::vec(prop_oneof![Just(b'"'), Just(b'\\'), Just(b','), Just(b';'), any::<u8>()], 0..60),
            address in address(),
            style in any::<u8>(),
        ) {
            for field in [HopField::XForwardedFor, HopField::Forwarded] {
                let ours = written(field, address, style);
                let line = [&theirs[..], b", ", ours.as_bytes()].concat();
                prop_assert_eq!(field.hops(&line).next(), Some(Some(address.to_canonical())), "{}", ours);
            }
        }

        #[test]
        fn no_line_has_more_hops_than_elements(line in prop::collection::vec(any::<u8>(), 0..200)) {
            for field in [HopField::XForwardedFor, HopField::Forwarded] {
                let hops = field.hops(&line).count();
                prop_assert!(hops <= line.split(|byte| *byte == b',').count());
            }
        }

        #[test]
        fn text_that_looks_like_hops_makes_nothing_panic(line in "(for=|[\"\\\\;,=\\[\\]:.]|[0-9a-f]{1,4}|unknown|_x){0,40}") {
            for field in [HopField::XForwardedFor, HopField::Forwarded] {
                let _ = field.hops(line.as_bytes()).count();
            }
        }
    }
}
