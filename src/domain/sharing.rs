//! Which pages of other origins may use a part of the web client: read what the gateway itself answers there (CORS), and
//! open a WebSocket.

use std::fmt;

use super::doors::Door;
use super::pattern::Pattern;
use super::target::RequestPath;

/// One line of it: `ORIGINS PATH [with preflight]`.
///
/// ```text
/// https://app.example.com /api/*
/// https://app.example.com,https://wiki.example.com /api/* with preflight
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sharing {
    origins: Vec<Door>,
    path: Pattern,
    /// Whether the gateway answers the question that browsers ask before a request (`OPTIONS`), without a session.
    pub preflight: bool,
}

const EXAMPLE: &str = "write \"https://app.example.com /api/*\", and \"with preflight\" behind it if need be";

impl Sharing {
    /// Reads a line.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let (Some(origins), Some(path)) = (words.next(), words.next()) else {
            return Err(format!("it is origins and a path; {EXAMPLE}"));
        };
        let origins = origins.split(',').map(origin).collect::<Result<_, _>>()?;
        let rest: Vec<&str> = words.collect();
        let preflight = match rest.as_slice() {
            [] => false,
            ["with", "preflight"] => true,
            _ => return Err(format!("{:?} has no place after the path; {EXAMPLE}", rest.join(" "))),
        };
        Ok(Self {
            origins,
            path: Pattern::parse(path)?,
            preflight,
        })
    }

    /// Whether a page of this origin may use this path. It opens, so every reading of the path has to fit.
    pub fn covers(&self, path: &RequestPath<'_>, origin: &str) -> bool {
        self.origins.iter().any(|known| known.origin() == origin) && self.path.holds(path)
    }
}

/// Sessions travel in cookies, so there is no star for every origin and no origin without TLS.
fn origin(text: &str) -> Result<Door, String> {
    if text.contains('*') {
        return Err(format!(
            "{text:?} would let pages of other people read what a session opens; name each origin"
        ));
    }
    Door::parse(text).map_err(|_| format!("{text:?} is no origin; write it as https://app.example.com"))
}

impl fmt::Display for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origins: Vec<String> = self.origins.iter().map(Door::origin).collect();
        write!(f, "{} {}", origins.join(","), self.path.as_str())?;
        if self.preflight {
            f.write_str(" with preflight")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(line: &str, path: &str, origin: &str) -> bool {
        let path = RequestPath::parse(path).unwrap();
        Sharing::parse(line).unwrap().covers(&path, origin)
    }

    #[test]
    fn an_origin_is_named_exactly_and_every_reading_of_the_path_fits() {
        let line = "https://app.example.com,https://wiki.example.com:8443 /api/*";
        assert!(covers(line, "/api/calls", "https://app.example.com"));
        assert!(covers(line, "/api/calls", "https://wiki.example.com:8443"));
        for origin in [
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://wiki.example.com",
            "https://app.example.com.evil.example",
            "null",
            "*",
            "",
        ] {
            assert!(!covers(line, "/api/calls", origin), "{origin}");
        }
        for path in ["/", "/apis/calls", "/API/calls", "//x/api/calls", "/api;x/../calls"] {
            let fits = RequestPath::parse(path)
                .is_ok_and(|path| Sharing::parse(line).unwrap().covers(&path, "https://app.example.com"));
            assert!(!fits, "{path}");
        }
    }

    #[test]
    fn a_line_reads_back_as_it_was_written() {
        for line in [
            "https://app.example.com /api/*",
            "https://app.example.com,https://wiki.example.com /api/* with preflight",
        ] {
            assert_eq!(Sharing::parse(line).unwrap().to_string(), line);
        }
    }

    #[test]
    fn every_origin_and_what_is_no_line_is_refused() {
        for bad in [
            "",
            "/api/*",
            "https://app.example.com",
            "* /api/*",
            "https://*.example.com /api/*",
            "http://app.example.com /api/*",
            "null /api/*",
            "https://app.example.com/x /api/*",
            "https://app.example.com api",
            "https://app.example.com /api/* preflight",
            "https://app.example.com, /api/*",
        ] {
            assert!(Sharing::parse(bad).is_err(), "{bad:?}");
        }
    }
}
