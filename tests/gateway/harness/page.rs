//! What a browser makes of a page, as far as the stories need it: its form and what is hidden in it.

/// An element's attributes, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag(Vec<(String, String)>);

impl Tag {
    /// The value of an attribute; an attribute without a value is an empty text.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Every `<name ...>` of a page, in order.
pub fn tags(html: &str, name: &str) -> Vec<Tag> {
    let open = format!("<{name}");
    html.match_indices(&open)
        .filter_map(|(at, _)| {
            let rest = &html[at + open.len()..];
            rest.starts_with(|c: char| c.is_whitespace() || c == '>' || c == '/')
                .then(|| attributes(rest))
        })
        .collect()
}

/// The hidden fields of the page's form that posts to `action`, with their values.
pub fn hidden_fields(html: &str, action: &str) -> Vec<(String, String)> {
    let form = form(html, action).unwrap_or_default();
    tags(form, "input")
        .into_iter()
        .filter(|input| input.get("type") == Some("hidden"))
        .filter_map(|input| Some((input.get("name")?.to_owned(), input.get("value")?.to_owned())))
        .collect()
}

/// Where the page's links lead, without their queries.
pub fn link_targets(html: &str) -> Vec<String> {
    let targets = tags(html, "a")
        .into_iter()
        .filter_map(|link| link.get("href").map(str::to_owned));
    targets
        .map(|target| target.split('?').next().unwrap_or_default().to_owned())
        .collect()
}

/// The part of a page that is the form which posts to `action`.
pub fn form<'a>(html: &'a str, action: &str) -> Option<&'a str> {
    html.match_indices("<form").find_map(|(at, _)| {
        let rest = &html[at..];
        let end = rest.find("</form>").unwrap_or(rest.len());
        let form = &rest[..end];
        let head = tags(form, "form").into_iter().next()?;
        let is_post = head
            .get("method")
            .is_some_and(|method| method.eq_ignore_ascii_case("post"));
        let to = head.get("action").unwrap_or(action);
        let to = to.split(['?', '#']).next().unwrap_or_default();
        (is_post && to == action).then_some(form)
    })
}

fn attributes(rest: &str) -> Tag {
    let mut found = Vec::new();
    let mut rest = rest;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        if rest.is_empty() || rest.starts_with('>') {
            return Tag(found);
        }
        let end = rest
            .find(|c: char| c.is_whitespace() || "=>/".contains(c))
            .unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        rest = after;
        let mut value = "";
        if let Some(given) = rest.strip_prefix('=') {
            let quote = given.chars().next().filter(|c| matches!(c, '"' | '\''));
            let (start, stop) = match quote {
                Some(quote) => (1, given[1..].find(quote).map_or(given.len(), |at| at + 1)),
                None => (
                    0,
                    given
                        .find(|c: char| c.is_whitespace() || c == '>')
                        .unwrap_or(given.len()),
                ),
            };
            value = &given[start..stop];
            rest = given.get(stop + start..).unwrap_or_default();
        }
        found.push((name.to_lowercase(), decode(value)));
        if name.is_empty() {
            rest = rest.get(1..).unwrap_or_default();
        }
    }
}

fn decode(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&#x27;", "'")
        .replace("&#x2f;", "/")
        .replace("&#47;", "/")
        .replace("&amp;", "&")
}

#[test]
fn hidden_fields_are_found_in_the_right_form() {
    let html = r#"<form method=get action="/login"><input type=hidden name=lang value=ja></form>
        <form class="card" method="post" action="/login" novalidate>
        <input type="hidden" name="token" value="a&amp;b"><input name="login" required/></form>"#;
    assert_eq!(hidden_fields(html, "/login"), [("token".to_owned(), "a&b".to_owned())]);
    assert!(hidden_fields(html, "/logout").is_empty());
}
