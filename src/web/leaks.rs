//! Where the forms of a finished page would send what people type: a page that would put a password into an address,
//! or send it elsewhere, is refused before anybody sees it.

/// Everything that is wrong with the forms of a page.
pub(super) fn problems(html: &str) -> Vec<String> {
    let mut found = Vec::new();
    for tag in tags(html) {
        match tag.name.as_str() {
            "form" => found.extend(form_problem(&tag)),
            // The actions of all forms are read against it.
            "base" => found.push("it has a <base>, which could send its forms elsewhere".to_owned()),
            _ => {}
        }
        let redirecting = ["formaction", "formmethod"];
        if let Some((name, _)) = tag.attributes.iter().find(|(name, _)| redirecting.contains(&&**name)) {
            found.push(format!("<{} {name}> could send its form elsewhere", tag.name));
        }
    }
    found
}

fn form_problem(form: &Tag) -> Option<String> {
    let method = form.find("method").unwrap_or_default();
    if !method.trim().eq_ignore_ascii_case("post") {
        return Some("a form without method=\"post\" would put what people type into the address".to_owned());
    }
    let action = form.find("action").unwrap_or_default();
    (!stays_here(action)).then(|| format!("a form with action={action:?} would send what people type elsewhere"))
}

/// Whether an action is a path of this origin. What only some browsers read so is not.
fn stays_here(action: &str) -> bool {
    // Templates escape slashes in values.
    let path = action.replace("&#x2f;", "/").replace("&amp;", "?");
    let plain = |c: char| c.is_ascii_graphic() && c != '\\' && c != '&';
    path.is_empty() || (path.starts_with('/') && !path.starts_with("//") && path.chars().all(plain))
}

/// An opening tag as browsers read it, its names in lower case.
struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
}

impl Tag {
    /// The value of an attribute; of two, browsers take the first.
    fn find(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(known, _)| known == name)?;
        Some(&found.1)
    }
}

/// Every opening tag, those in comments included: nobody needs a form there.
fn tags(html: &str) -> Vec<Tag> {
    html.match_indices('<')
        .map(|(at, _)| &html[at + 1..])
        .filter(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()))
        .map(tag)
        .collect()
}

fn tag(text: &str) -> Tag {
    let ends_name = |c: char| c.is_ascii_whitespace() || c == '/' || c == '>';
    let (name, mut rest) = text.split_at(text.find(ends_name).unwrap_or(text.len()));
    let mut attributes = Vec::new();
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if rest.is_empty() || rest.starts_with('>') {
            break;
        }
        // An equals sign in the first place belongs to the name.
        let ends = |(at, c): &(usize, char)| *at > 0 && (ends_name(*c) || *c == '=');
        let end = rest.char_indices().find(ends).map_or(rest.len(), |(at, _)| at);
        let (attribute, after) = rest.split_at(end);
        let (value, after) = match after.trim_start().strip_prefix('=') {
            Some(value) => value_of(value.trim_start()),
            None => ("", after),
        };
        attributes.push((attribute.to_ascii_lowercase(), value.to_owned()));
        rest = after;
    }
    Tag {
        name: name.to_ascii_lowercase(),
        attributes,
    }
}

/// The value that a text begins with, and the rest.
fn value_of(text: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(quoted) = text.strip_prefix(quote) {
            return quoted.split_once(quote).unwrap_or((quoted, ""));
        }
    }
    let ends = |c: char| c.is_ascii_whitespace() || c == '>';
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_that_posts_to_a_path_of_ours_is_sound() {
        for html in [
            "<form method=\"post\" action=\"/login\">",
            "<FORM Method=POST action='/login?a=b&amp;c=d'><input>",
            "<p>1 < 2</p><form class=\"a>b\" method=\"post\" action=\"&#x2f;login\">",
            "<form method=post>",
            "",
        ] {
            assert_eq!(problems(html), [""; 0], "{html}");
        }
    }

    #[test]
    fn a_form_that_would_leak_what_people_type_is_refused() {
        for html in [
            "<form action=\"/login\">",
            "<form method=\"get\" action=\"/login\">",
            "<form\nmethod = get method=post action=/login>",
            "<form method=post action=\"https://evil.example/\">",
            "<form method=post action=\"//evil.example/\">",
            "<form method=post action=\"/\\evil.example/\">",
            "<form method=post action=\"/\t/evil.example/\">",
            "<form method=post action=\"&#x2f;&#x2f;evil.example\">",
            "<form method=post action=\"/&sol;evil.example\">",
            "<form method=post action=\"login\">",
            "<form method=post action=\"javascript:x\">",
            "<form method=post action=/a><button formaction=\"https://evil.example\">",
            "<form method=post action=/a><input type=submit formmethod=get>",
            "<base href=\"https://evil.example/\"><form method=post action=/a>",
            "<p title=\"<\"><form action=x>",
        ] {
            assert_eq!(problems(html).len(), 1, "{html}: {:?}", problems(html));
        }
    }
}
