//! Where a `COPY` or `MOVE` puts what it takes (RFC 4918 section 10.3): a second path of the request. The web client
//! writes there, so it is judged together with the first.

use pingora::http::RequestHeader;

use crate::domain::target::{PathProblem, RequestPath};

use super::framing;
use super::headers;
use super::reception::{strip_absolute, without_query};

/// The methods that have a destination.
const METHODS: [&str; 2] = ["COPY", "MOVE"];

/// Why a destination cannot be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unclear {
    /// Several, on another host, or not the address of anything.
    #[error("the destination is not one path on the host that is asked")]
    Elsewhere,
    /// Upstreams could read it in two ways.
    #[error("the destination: {0}")]
    Path(PathProblem),
}

/// The destination, where the request has one and a method that heeds it. `is_here` tells the host that is asked.
///
/// # Errors
/// When it cannot be judged.
pub fn of(head: &RequestHeader, is_here: impl Fn(&str) -> bool) -> Result<Option<RequestPath<'_>>, Unclear> {
    let mut named = head.headers.get_all("destination").iter();
    let Some(first) = named.next().filter(|_| heeds(head)) else {
        return Ok(None);
    };
    let target = first.to_str().ok().filter(|_| named.next().is_none());
    let target = target.ok_or(Unclear::Elsewhere)?;
    let is_sound = framing::is_target(target.as_bytes()) && !target.starts_with("//");
    let path = strip_absolute(without_query(target)).filter(|_| is_sound && authority(target).is_none_or(is_here));
    let path = path.ok_or(Unclear::Elsewhere)?;
    RequestPath::parse(path).map(Some).map_err(Unclear::Path)
}

/// Whether the web client may take it for one of the methods.
fn heeds(head: &RequestHeader) -> bool {
    METHODS.contains(&head.method.as_str())
        || headers::other_methods(&head.headers)
            .iter()
            .any(|method| METHODS.contains(&method.as_str()))
}

/// The host of a target in absolute form.
fn authority(target: &str) -> Option<&str> {
    let (_, rest) = target.split_once("://").filter(|_| !target.starts_with('/'))?;
    rest.split('/').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: &str, fields: &[(&'static str, &str)]) -> Result<Option<String>, Unclear> {
        let mut head = RequestHeader::build(method, b"/a", None).unwrap();
        for (name, value) in fields {
            head.append_header(*name, *value).unwrap();
        }
        let read = of(&head, |named| named == "in.test")?;
        Ok(read.map(|path| path.raw().to_owned()))
    }

    #[test]
    fn where_something_is_put_is_read_as_the_web_client_reads_it() {
        for (value, path) in [
            ("/b/c", "/b/c"),
            ("https://in.test/b", "/b"),
            ("http://in.test/b?c#", ""),
            ("https://in.test/b?c=d", "/b"),
        ] {
            let read = read("MOVE", &[("destination", value)]);
            match path {
                "" => assert_eq!(read, Err(Unclear::Elsewhere), "{value}"),
                path => assert_eq!(read.unwrap().unwrap(), path, "{value}"),
            }
        }
        assert_eq!(read("COPY", &[]), Ok(None));
        assert_eq!(
            read("GET", &[("destination", "Kyoto")]),
            Ok(None),
            "a word of the web client's"
        );
        let instead = [("x-http-method-override", "move"), ("destination", "/b")];
        assert_eq!(read("POST", &instead).unwrap().unwrap(), "/b");
    }

    #[test]
    fn what_could_be_put_anywhere_is_refused() {
        for value in [
            "",
            "b",
            "*",
            "https://in.test",
            "https://out.test/b",
            "//out.test/b",
            "ftp://in.test/b",
            "/b c",
        ] {
            assert!(read("COPY", &[("destination", value)]).is_err(), "{value}");
        }
        let two = [("destination", "/b"), ("destination", "/b")];
        assert_eq!(read("COPY", &two), Err(Unclear::Elsewhere));
        assert_eq!(
            read("COPY", &[("destination", "/a/../b")]),
            Err(Unclear::Path(PathProblem::DotSegment))
        );
    }
}
