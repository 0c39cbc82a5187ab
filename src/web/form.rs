//! Bodies of our own requests: a form or a JSON object of texts, read strictly and wiped afterwards.

use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// A text somebody sent; it may be a password.
type Sent = Zeroizing<String>;

/// One field a route takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// Its name.
    pub name: &'static str,
    /// Whether it may be left out.
    pub optional: bool,
}

impl Field {
    /// A field that must be there.
    pub(super) const fn required(name: &'static str) -> Self {
        Self { name, optional: false }
    }

    /// A field that may be left out.
    pub(super) const fn optional(name: &'static str) -> Self {
        Self { name, optional: true }
    }
}

/// Name of the field with the form token.
pub(super) const TOKEN_FIELD: &str = "token";

/// Why a body was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyProblem {
    /// It is no form, or no JSON.
    Syntax,
    /// It is JSON, but not an object with exactly the known keys, once each, and texts as values.
    Shape,
    /// This field is missing.
    Missing(&'static str),
}

/// The fields of a body. No two have one name, and none is unknown.
pub(super) struct Fields(Vec<(&'static str, Sent)>);

impl Fields {
    /// Reads `application/x-www-form-urlencoded`. The form token is among the known fields.
    pub(super) fn from_form(body: &[u8], known: &[Field]) -> Result<Self, BodyProblem> {
        let mut pairs = Vec::new();
        for pair in body.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
            let (name, value) = match pair.iter().position(|b| *b == b'=') {
                Some(at) => (
                    pair.get(..at).unwrap_or_default(),
                    pair.get(at + 1..).unwrap_or_default(),
                ),
                None => (pair, &[][..]),
            };
            pairs.push((decode(name)?, decode(value)?));
        }
        let token = Field::optional(TOKEN_FIELD);
        Self::collect(pairs, &known.iter().chain([&token])).map_err(|_| BodyProblem::Syntax)
    }

    /// Reads a JSON object. An empty body is an object without keys.
    pub(super) fn from_json(body: &[u8], known: &[Field]) -> Result<Self, BodyProblem> {
        let body = if body.is_empty() { b"{}" } else { body };
        let Texts(pairs) = serde_json::from_slice(body).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => BodyProblem::Shape,
            _ => BodyProblem::Syntax,
        })?;
        Self::collect(pairs, &known.iter())
    }

    /// What was sent under a name; nothing when it was left out.
    pub(super) fn text(&self, name: &str) -> &str {
        self.find(name).unwrap_or_default()
    }

    /// What was sent under a name.
    pub(super) fn find(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, text)| text.as_str())
    }

    fn collect<'a>(
        pairs: Vec<(Sent, Sent)>,
        known: &(impl Iterator<Item = &'a Field> + Clone),
    ) -> Result<Self, BodyProblem> {
        let mut fields: Vec<(&'static str, Sent)> = Vec::with_capacity(pairs.len());
        for (name, text) in pairs {
            let field = known.clone().find(|field| field.name == name.as_str());
            let field = field.ok_or(BodyProblem::Shape)?;
            if fields.iter().any(|(taken, _)| *taken == field.name) {
                return Err(BodyProblem::Shape);
            }
            fields.push((field.name, text));
        }
        let there = |field: &&Field| field.optional || fields.iter().any(|(name, _)| *name == field.name);
        match known.clone().find(|field| !there(field)) {
            Some(missing) => Err(BodyProblem::Missing(missing.name)),
            None => Ok(Self(fields)),
        }
    }
}

/// Percent-decodes, with `+` as a blank. Broken escapes and bytes that are no UTF-8 are refused:
/// a password must be exactly what was typed.
fn decode(text: &[u8]) -> Result<Sent, BodyProblem> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text;
    while let Some((&b, tail)) = rest.split_first() {
        rest = tail;
        match b {
            b'+' => bytes.push(b' '),
            b'%' => {
                let (digits, tail) = rest.split_at_checked(2).ok_or(BodyProblem::Syntax)?;
                bytes.push(hex(digits).ok_or(BodyProblem::Syntax)?);
                rest = tail;
            }
            _ => bytes.push(b),
        }
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| BodyProblem::Syntax)?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn hex(digits: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(digits).ok()?;
    let plain = digits.bytes().all(|b| b.is_ascii_hexdigit());
    plain.then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

/// A JSON object of texts, duplicates kept so that they can be refused.
struct Texts(Vec<(Sent, Sent)>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts, A::Error> {
                let mut pairs = Vec::new();
                while let Some((name, text)) = map.next_entry::<String, String>()? {
                    if pairs.len() == MOST_FIELDS {
                        return Err(A::Error::custom("too many keys"));
                    }
                    pairs.push((Zeroizing::new(name), Zeroizing::new(text)));
                }
                Ok(Texts(pairs))
            }
        }

        deserializer.deserialize_map(Pairs)
    }
}

/// More fields than any route takes.
const MOST_FIELDS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Field] = &[
        Field::required("login"),
        Field::required("password"),
        Field::optional("return_to"),
    ];

    fn form(body: &str) -> Result<Fields, BodyProblem> {
        Fields::from_form(body.as_bytes(), KNOWN)
    }

    fn json(body: &str) -> Result<Fields, BodyProblem> {
        Fields::from_json(body.as_bytes(), KNOWN)
    }

    #[test]
    fn a_form_is_read_exactly_as_it_was_typed() {
        let fields = form("login=101&password=+a%2Bb%E5%86%85%20&token=t").unwrap();
        assert_eq!(fields.text("login"), "101");
        assert_eq!(fields.text("password"), " a+b内 ");
        assert_eq!(fields.text(TOKEN_FIELD), "t");
        assert_eq!(fields.find("return_to"), None);
    }

    #[test]
    fn a_form_with_two_meanings_is_refused() {
        for body in [
            "login=1&login=2&password=x",
            "login=1&%6cogin=2&password=x",
            "login=1",
            "login[]=1&password=x",
            "login=1&password=x&admin=true",
            "login=%zz&password=x",
            "login=%4&password=x",
            "login=%ff&password=x",
            "login=1&password=x&token=a&token=b",
            "{\"login\":\"1\"}",
        ] {
            assert_eq!(form(body).err(), Some(BodyProblem::Syntax), "{body}");
        }
    }

    #[test]
    fn a_json_object_holds_known_texts_once_each() {
        let fields = json(r#"{"login":"101","password":"\u5185 "}"#).unwrap();
        assert_eq!(fields.text("password"), "内 ");
        for (body, problem) in [
            (r#"{"login":"1""#, BodyProblem::Syntax),
            (r#"{"login":"1","password":"x"} {}"#, BodyProblem::Syntax),
            ("login=1&password=x", BodyProblem::Syntax),
            (r#"{"login":["1","2"],"password":"x"}"#, BodyProblem::Shape),
            (r#"{"login":1,"password":"x"}"#, BodyProblem::Shape),
            (r#"{"login":null,"password":"x"}"#, BodyProblem::Shape),
            (r#"{"login":"1","login":"2","password":"x"}"#, BodyProblem::Shape),
            (r#"{"login":"1","password":"x","admin":"true"}"#, BodyProblem::Shape),
            (r#"{"login":"1","password":"x","token":"t"}"#, BodyProblem::Shape),
            (r#"["login","1"]"#, BodyProblem::Shape),
            (r#""login""#, BodyProblem::Shape),
            (r#"{"login":"1"}"#, BodyProblem::Missing("password")),
            ("", BodyProblem::Missing("login")),
        ] {
            assert_eq!(json(body).err(), Some(problem), "{body}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_body_makes_the_readers_panic(body: Vec<u8>) {
            let _ = Fields::from_form(&body, KNOWN);
            let _ = Fields::from_json(&body, KNOWN);
        }
    }
}
