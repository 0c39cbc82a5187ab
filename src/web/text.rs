//! Everything the pages say, in every language, from the files in `text/`.

use std::collections::{BTreeMap, BTreeSet};

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource};
use rust_embed::Embed;
use unic_langid::{LanguageIdentifier, langid};

use crate::domain::language::Language;

use super::overrides::Theme;
use super::settings::PortalProblem;

#[derive(Embed)]
#[folder = "src/web/text"]
#[include = "*.ftl"]
struct Files;

/// The messages.
pub(super) struct Texts {
    en: FluentBundle<FluentResource>,
    ja: FluentBundle<FluentResource>,
}

/// A message that cannot be said.
#[derive(Debug, thiserror::Error)]
#[error("message {key:?} in {language}: {problem}")]
pub(super) struct Unsayable {
    key: String,
    language: Language,
    problem: String,
}

impl Texts {
    /// Reads the files; every language must say the same things. A theme's messages take the place of ours.
    pub(super) fn load(theme: &Theme) -> Result<Self, PortalProblem> {
        let (en, ja) = (source(Language::En)?, source(Language::Ja)?);
        let (in_en, in_ja) = (keys(&en), keys(&ja));
        if let Some(key) = in_en.symmetric_difference(&in_ja).next() {
            return Err(broken("messages", format!("{key:?} is not in every language")));
        }
        Ok(Self {
            en: bundle(langid!("en"), en, theme)?,
            ja: bundle(langid!("ja"), ja, theme)?,
        })
    }

    /// Says one thing.
    pub(super) fn say(
        &self,
        language: Language,
        key: &str,
        args: Option<&FluentArgs<'_>>,
    ) -> Result<String, Unsayable> {
        let bundle = match language {
            Language::En => &self.en,
            Language::Ja => &self.ja,
        };
        let unsayable = |problem: String| Unsayable {
            key: key.to_owned(),
            language,
            problem,
        };
        let pattern = bundle.get_message(key).and_then(|message| message.value());
        let pattern = pattern.ok_or_else(|| unsayable("there is no such message".into()))?;
        let mut errors = Vec::new();
        let said = bundle.format_pattern(pattern, args, &mut errors).into_owned();
        match errors.first() {
            None => Ok(said),
            Some(error) => Err(unsayable(error.to_string())),
        }
    }
}

fn source(language: Language) -> Result<String, PortalProblem> {
    let name = format!("{language}.ftl");
    let file = Files::get(&name).ok_or_else(|| broken(&name, "it is missing".into()))?;
    String::from_utf8(file.data.into_owned()).map_err(|_| broken(&name, "it is not UTF-8".into()))
}

fn bundle(
    language: LanguageIdentifier,
    source: String,
    theme: &Theme,
) -> Result<FluentBundle<FluentResource>, PortalProblem> {
    let name = format!("{language}.ftl");
    let ours = variables(&source);
    let resource = FluentResource::try_new(source).map_err(|(_, errors)| broken(&name, format!("{errors:?}")))?;
    let mut bundle = FluentBundle::new_concurrent(vec![language]);
    // Isolation marks around values would be copied along with them.
    bundle.set_use_isolating(false);
    bundle
        .add_resource(resource)
        .map_err(|errors| broken(&name, format!("{errors:?}")))?;
    if let Some(theirs) = theme.text.get(&name) {
        let wrong = |problem| PortalProblem::Theme {
            file: format!("text/{name}"),
            problem,
        };
        let resource = FluentResource::try_new(theirs.clone()).map_err(|(_, errors)| {
            let words: Vec<String> = errors.iter().map(ToString::to_string).collect();
            wrong(words.join("; "))
        })?;
        fits(&variables(theirs), &ours).map_err(wrong)?;
        bundle.add_resource_overriding(resource);
    }
    Ok(bundle)
}

/// Whether messages of a theme are among ours and use no variable that is not there.
fn fits(theirs: &Variables, ours: &Variables) -> Result<(), String> {
    for (key, used) in theirs.iter().filter(|(key, _)| !key.is_empty()) {
        let Some(there) = ours.get(key) else {
            return Err(format!("there is no message {key}; it would never be shown"));
        };
        if let Some(name) = used.difference(there).next() {
            let there: Vec<&str> = there.iter().map(String::as_str).collect();
            return Err(format!("{key} has no variable {name}; it has: {}", there.join(", ")));
        }
    }
    Ok(())
}

/// Our own files, by name.
pub(super) fn built_in() -> Vec<(String, Vec<u8>)> {
    Files::iter()
        .filter_map(|name| Files::get(&name).map(|file| (name.to_string(), file.data.into_owned())))
        .collect()
}

/// The variables of each message.
type Variables = BTreeMap<String, BTreeSet<String>>;

/// Each message's variables, read from the source: a word after a dollar sign.
fn variables(source: &str) -> Variables {
    let mut found = Variables::new();
    let mut key = String::new();
    for line in source.lines().filter(|line| !line.starts_with('#')) {
        if let Some((name, _)) = line.split_once('=').filter(|_| !line.starts_with([' ', '}'])) {
            name.trim().clone_into(&mut key);
        }
        let uses = line.split('$').skip(1).map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-');
            rest[..end.unwrap_or(rest.len())].to_owned()
        });
        found.entry(key.clone()).or_default().extend(uses);
    }
    found
}

fn keys(source: &str) -> BTreeSet<&str> {
    source
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
        .filter_map(|line| line.split_once(" ="))
        .map(|(key, _)| key)
        .collect()
}

fn broken(what: &str, problem: String) -> PortalProblem {
    PortalProblem::BuiltIn {
        what: what.to_owned(),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_the_same_messages_with_the_same_variables() {
        let (en, ja) = (source(Language::En).unwrap(), source(Language::Ja).unwrap());
        assert!(variables(&en).len() > 40, "the messages were read");
        assert_eq!(variables(&en), variables(&ja));
    }

    #[test]
    fn a_message_that_does_not_exist_or_lacks_its_variable_is_an_error() {
        let texts = Texts::load(&Theme::default()).unwrap();
        assert!(texts.say(Language::En, "no-such-message", None).is_err());
        assert!(texts.say(Language::Ja, "rule-length", None).is_err());
    }
}
