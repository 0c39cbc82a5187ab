//! Where a request wants to go: [`RequestPath`], every reading of it an upstream might make, and
//! [`ReturnTo`], a path on our own origin to come back to after signing in.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

/// A request path that is safe to judge and to forward byte for byte.
#[derive(Debug)]
pub struct RequestPath<'a> {
    raw: &'a str,
    readings: Vec<Cow<'a, str>>,
}

/// Why a path was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathProblem {
    /// Does not start with a slash, or is longer than [`RequestPath::MAX_BYTES`].
    #[error("the path is not in origin form")]
    Form,
    /// A control byte or backslash, raw or encoded; a raw blank or fragment; bytes that are no UTF-8.
    #[error("the path has a byte no honest client sends")]
    Byte,
    /// A percent sign that two hexadecimal digits do not follow.
    #[error("the path has a broken percent-encoding")]
    Encoding,
    /// `.` or `..` as a segment, raw or encoded, once or twice; or one that some server takes for that.
    #[error("the path has dot segments")]
    DotSegment,
    /// More than 64 of them, or more than 64 KiB in all.
    #[error("the path can be read in too many ways")]
    Readings,
}

impl<'a> RequestPath<'a> {
    /// The longest path accepted, in bytes.
    pub const MAX_BYTES: usize = 8 * 1024;

    /// The most readings of one path. A path that can be read in more ways is nobody's honest one.
    const MOST_READINGS: usize = 64;

    /// The most bytes of all readings together: a long path that can be read in many ways would cost as much time as
    /// hundreds of others, before anybody knows who sent it.
    const MOST_READ_BYTES: usize = 64 * 1024;

    /// Reads the path of a request target, without its query.
    ///
    /// # Errors
    /// When upstreams are known to disagree about what the path means.
    pub fn parse(raw: &'a str) -> Result<Self, PathProblem> {
        if !raw.starts_with('/') || raw.len() > Self::MAX_BYTES {
            return Err(PathProblem::Form);
        }
        if is_plain(raw) {
            return Ok(Self {
                raw,
                readings: vec![Cow::Borrowed(raw)],
            });
        }
        // An upstream may decode once, or (a proxy behind us) twice.
        let once = decode(raw)?;
        let twice = decode_again(&once)?;
        if decode_again(&twice)? != twice {
            // Nobody encodes three times; whoever does wants something to be decoded behind our back.
            return Err(PathProblem::Encoding);
        }
        // A blank or hash that only a second decoding brings out was hidden there on purpose.
        if twice != once && twice.contains([' ', '#']) {
            return Err(PathProblem::Byte);
        }
        let readings = readings(raw)?;
        if !raw.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
            return Err(PathProblem::Byte);
        }
        Ok(Self { raw, readings })
    }

    /// The same with another path that the request names: whatever is judged is judged of both.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.readings.extend(other.readings);
        self
    }

    /// As it was sent; this is what the upstream gets.
    pub const fn raw(&self) -> &'a str {
        self.raw
    }

    /// Every reading an upstream might make: decoded, doubled slashes merged, `;parameters` dropped, lower case, and what
    /// else upstreams are known to do, in every combination.
    pub fn readings(&self) -> &[Cow<'a, str>] {
        &self.readings
    }

    /// Whether some reading is `route`, or lies under it when it ends in a slash, although the path as
    /// sent is another. Such a near miss is ours to answer with 404: a password posted to it must not
    /// reach the upstream.
    pub fn nearly(&self, route: &str) -> bool {
        let route = route.to_lowercase();
        let bare = route.trim_end_matches('/');
        self.readings.iter().any(|reading| {
            let reading = reading.to_lowercase();
            let trimmed = reading.trim_end_matches('/');
            trimmed == bare || (route.ends_with('/') && reading.starts_with(&route))
        })
    }
}

/// Every reading of `raw`, decoded before, between and after what else upstreams do: some drop parameters first and
/// decode then. A step that changes nothing adds none, so that an honest path costs few.
fn readings(raw: &str) -> Result<Vec<Cow<'_, str>>, PathProblem> {
    let mut readings = vec![Cow::Borrowed(raw)];
    let mut done = 0;
    while let Some(reading) = readings.get(done).cloned() {
        if reading.bytes().any(|b| b < b' ' || b == 0x7f || b == b'\\') {
            return Err(PathProblem::Byte);
        }
        if has_dot_segment(&reading) {
            return Err(PathProblem::DotSegment);
        }
        add(&mut readings, decode_again(&reading)?)?;
        for way in WAYS {
            add(&mut readings, way(&reading))?;
        }
        done += 1;
    }
    Ok(readings)
}

fn add(readings: &mut Vec<Cow<'_, str>>, reading: String) -> Result<(), PathProblem> {
    if readings.iter().any(|known| *known == reading) {
        return Ok(());
    }
    let bytes: usize = readings.iter().map(|known| known.len()).sum();
    if readings.len() == RequestPath::MOST_READINGS || bytes + reading.len() > RequestPath::MOST_READ_BYTES {
        return Err(PathProblem::Readings);
    }
    readings.push(Cow::Owned(reading));
    Ok(())
}

/// What upstreams are known to do to a path before they look at it, beside decoding.
const WAYS: [fn(&str) -> String; 9] = [
    before_query,
    before_parameters,
    without_parameters,
    merge_slashes,
    without_ends,
    without_streams,
    without_unseen,
    str::to_lowercase,
    folded,
];

/// A decoded question mark or hash ends the path for whoever decodes before looking for the query.
fn before_query(path: &str) -> String {
    path.split(['?', '#']).next().unwrap_or_default().to_owned()
}

/// Some take the first semicolon for the end of the path.
fn before_parameters(path: &str) -> String {
    path.split(';').next().unwrap_or_default().to_owned()
}

/// Windows drops blanks and dots at the end of each name.
fn without_ends(path: &str) -> String {
    let segments = path.split('/').map(|segment| segment.trim_end_matches(['.', ' ']));
    segments.collect::<Vec<_>>().join("/")
}

/// On NTFS `name::$DATA` is what is in `name`, and `name:$I30:$INDEX_ALLOCATION` the directory of that name. A colon
/// without a type behind it names something else, as the methods of some APIs do (`/calls:end`).
fn without_streams(path: &str) -> String {
    path.split('/').map(without_stream).collect::<Vec<_>>().join("/")
}

fn without_stream(segment: &str) -> &str {
    match segment.split_once(':') {
        Some((name, stream)) if stream.contains(":$") => name,
        _ => segment,
    }
}

/// Some compare without what a text does not show: soft hyphens, joiners, marks of direction, variation selectors (the
/// ignorable characters of Unicode's case folding).
fn without_unseen(path: &str) -> String {
    path.chars().filter(|c| !is_unseen(*c)).collect()
}

/// `Default_Ignorable_Code_Point`, as Unicode lists it.
const fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fff8}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Some compare in capitals, or in a normal form of Unicode: a long `s`, a dotless `i` and full-width letters are plain
/// ones then, and full-width dots and slashes are dots and slashes. A percent sign stands for itself afterwards: in a
/// file's name a full-width one is followed by whatever figures.
fn folded(path: &str) -> String {
    if path.is_ascii() {
        return path.to_owned();
    }
    let plain = path.nfkc().collect::<String>().to_uppercase().to_lowercase();
    plain.replace('%', "\u{ff05}")
}

/// Only bytes that every upstream reads alike, no `//`, and no dot at the end of a segment.
fn is_plain(path: &str) -> bool {
    let mut previous = 0;
    let bytes = path.bytes().all(|b| {
        let plain = matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~')
            || (b == b'/' && !matches!(previous, b'/' | b'.'));
        previous = b;
        plain
    });
    bytes && previous != b'.'
}

/// Dots alone, and what some server takes for that: dots with blanks, or more of them than two.
fn has_dot_segment(path: &str) -> bool {
    path.split('/')
        .any(|segment| segment.contains('.') && segment.bytes().all(|b| matches!(b, b'.' | b' ')))
}

fn decode(text: &str) -> Result<String, PathProblem> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&b, tail)) = rest.split_first() {
        if b == b'%' {
            let digits = tail
                .get(..2)
                .and_then(|hex| std::str::from_utf8(hex).ok())
                .ok_or(PathProblem::Encoding)?;
            if !digits.bytes().all(|d| d.is_ascii_hexdigit()) {
                return Err(PathProblem::Encoding);
            }
            bytes.push(u8::from_str_radix(digits, 16).map_err(|_| PathProblem::Encoding)?);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            bytes.push(b);
            rest = tail;
        }
    }
    // Bytes that are no UTF-8 are read as anything by somebody: overlong dots and slashes among them.
    String::from_utf8(bytes).map_err(|_| PathProblem::Byte)
}

/// Decodes what was decoded before, as lenient servers do: a percent sign that starts no encoding stands for itself.
fn decode_again(text: &str) -> Result<String, PathProblem> {
    let mut escaped = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let digits = text.as_bytes().get(at + 1..at + 3);
        let encodes = digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        escaped.push_str(if c == '%' && !encodes {
            "%25"
        } else {
            text.get(at..at + c.len_utf8()).unwrap_or_default()
        });
    }
    decode(&escaped)
}

fn without_parameters(path: &str) -> String {
    path.split('/')
        .map(|segment| segment.split(';').next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("/")
}

fn merge_slashes(path: &str) -> String {
    let mut merged = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !merged.ends_with('/') {
            merged.push(c);
        }
    }
    merged
}

/// A path on our own origin to come back to after signing in. By construction it cannot leave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnTo(String);

impl ReturnTo {
    /// The longest return path accepted, in bytes.
    pub const MAX_BYTES: usize = 2048;

    /// Reads a return path. Whatever is not plainly a path on this origin is `None`, never repaired.
    pub fn parse(text: &str) -> Option<Self> {
        let (path, query) = text
            .split_once('?')
            .map_or((text, None), |(path, query)| (path, Some(query)));
        let visible = |part: &str| part.bytes().all(|b| b.is_ascii_graphic() && b != b'\\' && b != b'#');
        if text.len() > Self::MAX_BYTES || !visible(text) || query.is_some_and(|query| decode(query).is_err()) {
            return None;
        }
        let path = RequestPath::parse(path).ok()?;
        let stays = path.readings().iter().all(|reading| !reading.starts_with("//"));
        stays.then(|| Self(text.to_owned()))
    }

    /// The root of the web client.
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// The path and query, to be used as a relative `Location`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_plain_path_has_one_reading() {
        for path in ["/", "/a/b.js", "/.well-known/x", "/a-b_c~"] {
            assert_eq!(RequestPath::parse(path).unwrap().readings(), [path]);
        }
    }

    #[test]
    fn ambiguous_paths_are_refused() {
        use PathProblem::{Byte, DotSegment, Encoding, Form};
        for (path, problem) in [
            ("", Form),
            ("a", Form),
            ("*", Form),
            ("http://h/", Form),
            ("/a b", Byte),
            ("/a\0", Byte),
            ("/%00", Byte),
            ("/%0a", Byte),
            ("/a\\b", Byte),
            ("/%5c", Byte),
            ("/a#b", Byte),
            ("/é", Byte),
            ("/%", Encoding),
            ("/%4", Encoding),
            ("/%zz", Encoding),
            ("/%+1", Encoding),
            ("/a/../b", DotSegment),
            ("/./a", DotSegment),
            ("/..", DotSegment),
            ("/%2e%2E/a", DotSegment),
            ("/%2e", DotSegment),
            ("/%252e%252e/a", DotSegment),
            ("/..;x/a", DotSegment),
            ("/a%2f..%2fb", DotSegment),
            ("/a/%25/%252e%252e/%252e%252e/b", DotSegment),
            ("/%2523", Byte),
            ("/a%2520b", Byte),
            ("/a/%252525", Encoding),
            ("/a/..%c0%afb", Byte),
            ("/a/%EF%BC%8E%EF%BC%8E/b", DotSegment),
            ("/a%EF%BC%8F..%EF%BC%8Fb", DotSegment),
            ("/a/%EF%BC%BCb", Byte),
            ("/a/..%20/b", DotSegment),
            ("/a/.../b", DotSegment),
            ("/a/%2e%20.;x/b", DotSegment),
            ("/%ff", Byte),
            ("/a/.%E2%80%8B./b", DotSegment),
            ("/a/..::$INDEX_ALLOCATION/b", DotSegment),
        ] {
            assert_eq!(RequestPath::parse(path).err(), Some(problem), "{path:?}");
        }
    }

    #[test]
    fn names_with_blanks_and_japanese_letters_pass() {
        for path in [
            "/recordings/My%20Call.wav",
            "/%E5%86%85%E7%B7%9A",
            "/wiki/C%23",
            "/100%25",
            "/compare/v1...v2",
            "/a/%E5%A3%B2%E4%B8%8A%EF%BC%8F%E7%B5%8C%E8%B2%BB.xlsx",
            "/a/b.",
            "/%E6%88%90%E9%95%B7%E7%8E%875%EF%BC%8512%E6%9C%88.xlsx",
            "/%F0%9F%91%A8%E2%80%8D%F0%9F%91%A9%EF%B8%8F.png",
        ] {
            assert!(RequestPath::parse(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn a_colon_without_a_type_behind_it_is_part_of_the_name() {
        for path in ["/calls:end", "/at/12:30:00", "/$metadata:x", "/urn:isbn:0451450523"] {
            let path = RequestPath::parse(path).unwrap();
            assert!(path.readings().iter().all(|reading| reading.contains(':')), "{path:?}");
        }
    }

    #[test]
    fn every_reading_of_an_odd_path_is_judged() {
        let path = RequestPath::parse("/Public//x;y/%61%2Fb").unwrap();
        for reading in [
            "/Public//x;y/%61%2Fb",
            "/Public//x;y/a/b",
            "/public/x/a/b",
            "/Public/x/a/b",
        ] {
            assert!(path.readings().iter().any(|known| known == reading), "{reading}");
        }
    }

    #[test]
    fn steps_of_different_servers_are_taken_in_every_order() {
        for (path, reading) in [
            ("/Admin;x/users", "/admin/users"),
            ("/x;y=%2Fadmin", "/x/admin"),
            ("/admin;/users", "/admin"),
            ("/%2Fadmin./users%20", "/admin/users"),
            ("/adm%C4%B1n", "/admin"),
            ("/a%C5%BFk", "/ask"),
            ("/%EF%BD%81dmin", "/admin"),
            ("/%EF%BC%A1DMIN%EF%BC%8Fusers", "/admin/users"),
            ("/%E2%84%AAeys", "/keys"),
            ("/admin%EF%BC%9F/x", "/admin"),
            ("/admin%253F/x", "/admin"),
            ("/x;%2Fq/%61dmin", "/x/admin"),
            ("/x;%2Fq/%2561dmin", "/x/admin"),
            ("/%2561dmin;%2Fq/%75sers", "/admin/users"),
            ("/debug::$DATA", "/debug"),
            ("/DEBUG:%3A%24data/x", "/debug/x"),
            ("/debug:$I30:$INDEX_ALLOCATION/pprof", "/debug/pprof"),
            ("/%E2%80%8Bdebug/x", "/debug/x"),
            ("/de%C2%ADbug%EF%BB%BF", "/debug"),
            ("/Ad%E2%81%A0m%C4%B1n", "/admin"),
        ] {
            let path = RequestPath::parse(path).unwrap();
            assert!(path.readings().iter().any(|known| known == reading), "{path:?}");
        }
    }

    #[test]
    fn a_path_that_can_be_read_in_very_many_ways_is_refused() {
        let odd = "/A;x//b./%C4%B1%3Bc/%3Fd//e.;f/G%3Bh/i";
        assert_eq!(RequestPath::parse(odd).err(), Some(PathProblem::Readings));
    }

    #[test]
    fn a_long_path_that_can_be_read_in_many_ways_is_refused() {
        let long = |start: &str| format!("{start}{}", "a".repeat(8000));
        for honest in ["/A/", "/%E3%81%82/", "/a%2FB/"] {
            assert!(RequestPath::parse(&long(honest)).is_ok(), "{honest}");
        }
        let odd = "/A;b//%3Fx./";
        assert!(RequestPath::parse(odd).is_ok());
        assert_eq!(RequestPath::parse(&long(odd)).err(), Some(PathProblem::Readings));
    }

    #[test]
    fn near_misses_of_our_routes_are_seen() {
        for path in [
            "/Login",
            "/login/",
            "/login;x",
            "/login::$DATA",
            "/lo%E2%80%8Bgin",
            "/%6cogin",
            "//login",
            "/login//",
            "/%256cogin",
            "/LOGIN;a/",
        ] {
            assert!(RequestPath::parse(path).unwrap().nearly("/login"), "{path}");
        }
        for path in ["/loginx", "/login/x", "/my/login"] {
            assert!(!RequestPath::parse(path).unwrap().nearly("/login"), "{path}");
        }
        for path in ["/.sekisho", "/.Sekisho/x", "//.sekisho/x", "/%2esekisho/x"] {
            assert!(RequestPath::parse(path).unwrap().nearly("/.sekisho/"), "{path}");
        }
    }

    #[test]
    fn a_return_path_never_leaves_the_origin() {
        for bad in [
            "",
            "a",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil",
            "/%09/evil.example",
            "/%2f/evil.example",
            "https:evil.example",
            "https://evil.example",
            "/\t/evil",
            "/a\r\nLocation: x",
            "javascript:alert(1)",
            "//user@evil",
            "/．．/evil",
            "/..//evil",
            "/%5cevil",
            " /a",
            "/a b",
            "/a#b",
            "/?%",
            "/a?x=\u{a0}",
            "/;//evil",
            "/%252f/evil",
        ] {
            assert_eq!(ReturnTo::parse(bad), None, "{bad:?}");
        }
        assert_eq!(
            ReturnTo::parse("/calls?day=1&q=%E5%86%85").unwrap().as_str(),
            "/calls?day=1&q=%E5%86%85"
        );
    }

    proptest! {
        #[test]
        fn a_browser_resolves_every_return_path_to_our_origin(text in "[/\\\\a-z%0-9:;?@.\t#]{0,24}") {
            if let Some(path) = ReturnTo::parse(&text) {
                let base = url::Url::parse("https://door.example/login").unwrap();
                prop_assert_eq!(base.join(path.as_str()).unwrap().origin(), base.origin());
            }
        }

        #[test]
        fn no_path_makes_the_parser_panic(text in "\\PC{0,64}") {
            let _ = RequestPath::parse(&text);
            let _ = ReturnTo::parse(&text);
        }
    }
}
