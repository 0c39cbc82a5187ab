//! The forms a value can take in the file: how each is read, written and described in the schema.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Value as Json, json};
use toml::Spanned;
use toml::de::DeValue;

use super::units;

/// A value as it stands in the file, with its place.
pub type Given<'a> = Spanned<DeValue<'a>>;

/// What is wrong with a value, and at which byte of the file.
pub struct Misread {
    /// Offset into the text of the file.
    pub at: usize,
    /// A sentence for the operator.
    pub why: String,
}

/// One way to write a value.
pub trait Form {
    /// What the value means to the program.
    type Value;

    /// Reads the value; everything wrong with it is reported at once.
    fn read(&self, given: &Given<'_>) -> Result<Self::Value, Vec<Misread>>;

    /// Writes the value so that [`Form::read`] gives it back.
    fn write(&self, value: &Self::Value) -> toml::Value;

    /// Describes it in JSON Schema.
    fn schema(&self) -> Json;
}

impl<F: Form> Form for &F {
    type Value = F::Value;

    fn read(&self, given: &Given<'_>) -> Result<Self::Value, Vec<Misread>> {
        (**self).read(given)
    }

    fn write(&self, value: &Self::Value) -> toml::Value {
        (**self).write(value)
    }

    fn schema(&self) -> Json {
        (**self).schema()
    }
}

/// `true` or `false`.
pub struct Switch;

impl Form for Switch {
    type Value = bool;

    fn read(&self, given: &Given<'_>) -> Result<bool, Vec<Misread>> {
        let value = given.get_ref().as_bool();
        value.ok_or_else(|| {
            wrong(
                given,
                &format!("{} is not true or false (without quotes)", quote(given)),
            )
        })
    }

    fn write(&self, value: &bool) -> toml::Value {
        (*value).into()
    }

    fn schema(&self) -> Json {
        json!({ "type": "boolean" })
    }
}

/// A whole number within bounds.
pub struct Count<T> {
    /// The least allowed.
    pub least: T,
    /// The most allowed.
    pub most: T,
}

impl<T: Copy + Display + PartialOrd + TryFrom<u64> + TryInto<u64>> Form for Count<T> {
    type Value = T;

    fn read(&self, given: &Given<'_>) -> Result<T, Vec<Misread>> {
        let Some(number) = given.get_ref().as_integer() else {
            return Err(wrong(
                given,
                &format!("{} is not a whole number (without quotes)", quote(given)),
            ));
        };
        u64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .and_then(|number| T::try_from(number).ok())
            .filter(|number| *number >= self.least && *number <= self.most)
            .ok_or_else(|| {
                let (least, most) = (self.least, self.most);
                wrong(given, &format!("{} is not between {least} and {most}", quote(given)))
            })
    }

    fn write(&self, value: &T) -> toml::Value {
        let number: u64 = (*value).try_into().unwrap_or(u64::MAX);
        i64::try_from(number).unwrap_or(i64::MAX).into()
    }

    fn schema(&self) -> Json {
        let bound = |value: T| TryInto::<u64>::try_into(value).ok();
        json!({ "type": "integer", "minimum": bound(self.least), "maximum": bound(self.most) })
    }
}

/// A duration with its unit, within bounds.
pub struct Time {
    /// The least allowed.
    pub least: Duration,
    /// The most allowed.
    pub most: Duration,
}

impl Form for Time {
    type Value = Duration;

    fn read(&self, given: &Given<'_>) -> Result<Duration, Vec<Misread>> {
        let duration = given.get_ref().as_str().and_then(units::parse_time).ok_or_else(|| {
            let text = quote(given);
            wrong(
                given,
                &format!("{text} is not a duration; write it with a unit, such as \"30m\""),
            )
        })?;
        let (least, most) = (units::time(self.least), units::time(self.most));
        if duration < self.least {
            Err(wrong(
                given,
                &format!("{} is too short; the least is \"{least}\"", quote(given)),
            ))
        } else if duration > self.most {
            Err(wrong(
                given,
                &format!("{} is too long; the most is \"{most}\"", quote(given)),
            ))
        } else {
            Ok(duration)
        }
    }

    fn write(&self, value: &Duration) -> toml::Value {
        units::time(*value).into()
    }

    fn schema(&self) -> Json {
        let examples = [units::time(self.least), units::time(self.most)];
        json!({ "type": "string", "pattern": "^\\s*[0-9]+\\s*[A-Za-zµ]", "examples": examples })
    }
}

/// A size in bytes with its unit, within bounds.
pub struct Size {
    /// The least allowed, in bytes.
    pub least: u64,
    /// The most allowed, in bytes.
    pub most: u64,
    /// The value must be a multiple of this many bytes.
    pub step: u64,
}

impl Form for Size {
    type Value = u64;

    fn read(&self, given: &Given<'_>) -> Result<u64, Vec<Misread>> {
        let bytes = given.get_ref().as_str().and_then(units::parse_size).ok_or_else(|| {
            let text = quote(given);
            wrong(
                given,
                &format!("{text} is not a size; write it with a unit, such as \"8 KiB\""),
            )
        })?;
        let (least, most) = (units::size(self.least), units::size(self.most));
        if bytes < self.least || bytes > self.most {
            let text = quote(given);
            Err(wrong(
                given,
                &format!("{text} is not between \"{least}\" and \"{most}\""),
            ))
        } else if bytes.is_multiple_of(self.step) {
            Ok(bytes)
        } else {
            let step = units::size(self.step);
            Err(wrong(given, &format!("{} is not a multiple of {step}", quote(given))))
        }
    }

    fn write(&self, value: &u64) -> toml::Value {
        units::size(*value).into()
    }

    fn schema(&self) -> Json {
        let examples = [units::size(self.least), units::size(self.most)];
        json!({ "type": "string", "pattern": "^[0-9.]+\\s*[A-Za-z]+$", "examples": examples })
    }
}

/// One of a few words.
pub struct OneOf<T>(pub Vec<(&'static str, T)>);

impl<T: Clone + PartialEq> Form for OneOf<T> {
    type Value = T;

    fn read(&self, given: &Given<'_>) -> Result<T, Vec<Misread>> {
        let text = given.get_ref().as_str();
        let found = self.0.iter().find(|(word, _)| text == Some(*word));
        found.map(|(_, value)| value.clone()).ok_or_else(|| {
            let words: Vec<_> = self.0.iter().map(|(word, _)| format!("{word:?}")).collect();
            wrong(given, &format!("{} is not one of {}", quote(given), words.join(", ")))
        })
    }

    fn write(&self, value: &T) -> toml::Value {
        let word = self.0.iter().find(|(_, known)| known == value).map(|(word, _)| *word);
        word.unwrap_or_default().into()
    }

    fn schema(&self) -> Json {
        let words: Vec<_> = self.0.iter().map(|(word, _)| *word).collect();
        json!({ "type": "string", "enum": words })
    }
}

/// Text with a grammar of its own.
pub struct Text<T> {
    /// Reads it, or says in a sentence what is wrong. The sentence repeats the text only where the
    /// text cannot hold a secret.
    pub parse: fn(&str) -> Result<T, String>,
    /// Writes it so that `parse` gives it back.
    pub print: fn(&T) -> String,
    /// What the schema says besides `"type": "string"`.
    pub schema: Json,
}

impl<T> Form for Text<T> {
    type Value = T;

    fn read(&self, given: &Given<'_>) -> Result<T, Vec<Misread>> {
        let Some(text) = given.get_ref().as_str() else {
            return Err(wrong(given, &format!("{} is not text in quotes", quote(given))));
        };
        (self.parse)(text).map_err(|why| wrong(given, &why))
    }

    fn write(&self, value: &T) -> toml::Value {
        (self.print)(value).into()
    }

    fn schema(&self) -> Json {
        let mut schema = json!({ "type": "string" });
        if let (Some(schema), Some(more)) = (schema.as_object_mut(), self.schema.as_object()) {
            schema.extend(more.clone());
        }
        schema
    }
}

/// Text whose type reads and prints itself.
pub fn parsed<T>(schema: Json) -> Text<T>
where
    T: FromStr<Err: Display> + Display,
{
    Text {
        parse: |text| text.parse().map_err(|why| format!("{}: {why}", shorten(text))),
        print: T::to_string,
        schema,
    }
}

/// A path on this machine.
pub fn path() -> Text<PathBuf> {
    Text {
        parse: |text| match text {
            "" => Err("the path is empty".to_owned()),
            _ if text.contains(char::is_control) => Err("the path has a control character in it".to_owned()),
            _ => Ok(PathBuf::from(text)),
        },
        print: |path| path.display().to_string(),
        schema: json!({ "minLength": 1 }),
    }
}

/// One line of words for people: not empty, without control characters, at most 200 characters.
pub fn line() -> Text<String> {
    Text {
        parse: |text| match text {
            _ if text.trim().is_empty() => Err("the text is empty".to_owned()),
            _ if text.contains(char::is_control) => Err("the text has a control character in it".to_owned()),
            _ if text.chars().count() > 200 => Err("the text is longer than 200 characters".to_owned()),
            _ => Ok(text.to_owned()),
        },
        print: Clone::clone,
        schema: json!({ "minLength": 1, "maxLength": 200 }),
    }
}

/// A list, each element in the same form.
pub struct List<F> {
    /// The form of the elements.
    pub of: F,
    /// The fewest elements.
    pub least: usize,
}

impl<F: Form<Value: PartialEq>> Form for List<F> {
    type Value = Vec<F::Value>;

    fn read(&self, given: &Given<'_>) -> Result<Self::Value, Vec<Misread>> {
        let Some(elements) = given.get_ref().as_array() else {
            return Err(wrong(
                given,
                &format!("{} is not a list; write it in brackets: [..]", quote(given)),
            ));
        };
        let (mut values, mut misread) = (Vec::new(), Vec::new());
        for element in elements {
            match self.of.read(element) {
                Ok(value) if values.contains(&value) => {
                    misread.extend(wrong(element, &format!("{} is in the list twice", quote(element))));
                }
                Ok(value) => values.push(value),
                Err(more) => misread.extend(more),
            }
        }
        if elements.len() < self.least {
            misread.extend(wrong(given, "the list is empty"));
        }
        if misread.is_empty() { Ok(values) } else { Err(misread) }
    }

    fn write(&self, value: &Self::Value) -> toml::Value {
        value
            .iter()
            .map(|element| self.of.write(element))
            .collect::<Vec<_>>()
            .into()
    }

    fn schema(&self) -> Json {
        json!({ "type": "array", "items": self.of.schema(), "minItems": self.least, "uniqueItems": true })
    }
}

fn wrong(given: &Given<'_>, why: &str) -> Vec<Misread> {
    vec![Misread {
        at: given.span().start,
        why: why.to_owned(),
    }]
}

/// What was given, short enough for one line.
fn quote(given: &Given<'_>) -> String {
    match given.get_ref() {
        DeValue::String(text) => shorten(text),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

fn shorten(text: &str) -> String {
    let mut cut: String = text.chars().take(60).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    format!("{cut:?}")
}
