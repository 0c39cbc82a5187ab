//! Methods: which of them the gateway forwards at all.

/// The methods with a registered meaning that a web client may be asked for. TRACE would echo our headers back to the
/// client, CONNECT would open a tunnel, and a method nobody registered is nobody's honest request. BIND and its kin
/// (RFC 5842) name in their body the paths that they join to others, where nobody judges them.
const FORWARDED: [&str; 19] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "ACL",
    "COPY",
    "LOCK",
    "MKCOL",
    "MOVE",
    "PROPFIND",
    "PROPPATCH",
    "REPORT",
    "SEARCH",
    "UNLOCK",
    "MKCALENDAR",
    "QUERY",
];

/// Whether a request of this method may go on to the web client.
pub fn is_forwarded(method: &str) -> bool {
    FORWARDED.contains(&method)
}

/// Whether a request of this method can name further paths in its body, which nobody reads here: a REPORT asks for any
/// resources by their addresses (RFC 4791 section 7.9), and a SEARCH says where to look (RFC 5323 section 5.5). BIND and its
/// kin come only as what a POST asks to be taken for.
pub fn names_paths_within(method: &str) -> bool {
    ["REPORT", "SEARCH", "BIND", "REBIND", "UNBIND"].contains(&method)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_methods_with_a_registered_meaning_go_on() {
        for method in ["GET", "HEAD", "POST", "PROPFIND", "OPTIONS"] {
            assert!(is_forwarded(method), "{method}");
        }
        for method in ["TRACE", "CONNECT", "get", "FOO", "DEBUG", "BIND", "UNBIND", "REBIND"] {
            assert!(!is_forwarded(method), "{method}");
        }
    }
}
