//! Everything the pages say, in every language, from the files in `text/`.

use std::collections::BTreeSet;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource};
use rust_embed::Embed;
use unic_langid::{LanguageIdentifier, langid};

use crate::domain::language::Language;

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
    /// Reads the files; every language must say the same things.
    pub(super) fn load() -> Result<Self, PortalProblem> {
        let (en, ja) = (source(Language::En)?, source(Language::Ja)?);
        let (in_en, in_ja) = (keys(&en), keys(&ja));
        if let Some(key) = in_en.symmetric_difference(&in_ja).next() {
            return Err(broken("messages", format!("{key:?} is not in every language")));
        }
        Ok(Self {
            en: bundle(langid!("en"), en)?,
            ja: bundle(langid!("ja"), ja)?,
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

fn bundle(language: LanguageIdentifier, source: String) -> Result<FluentBundle<FluentResource>, PortalProblem> {
    let name = format!("{language}.ftl");
    let resource = FluentResource::try_new(source).map_err(|(_, errors)| broken(&name, format!("{errors:?}")))?;
    let mut bundle = FluentBundle::new_concurrent(vec![language]);
    // Isolation marks around values would be copied along with them.
    bundle.set_use_isolating(false);
    bundle
        .add_resource(resource)
        .map_err(|errors| broken(&name, format!("{errors:?}")))?;
    Ok(bundle)
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
    use std::collections::BTreeMap;

    use super::*;

    /// Each message's variables, read from the source: a word after a dollar sign.
    fn variables(source: &str) -> BTreeMap<String, BTreeSet<String>> {
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut key = String::new();
        for line in source.lines() {
            if let Some((name, _)) = line.split_once(" =").filter(|_| !line.starts_with([' ', '#'])) {
                name.clone_into(&mut key);
            }
            let uses = line.split('$').skip(1).map(|rest| {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-');
                rest[..end.unwrap_or(rest.len())].to_owned()
            });
            found.entry(key.clone()).or_default().extend(uses);
        }
        found
    }

    #[test]
    fn every_language_has_the_same_messages_with_the_same_variables() {
        let (en, ja) = (source(Language::En).unwrap(), source(Language::Ja).unwrap());
        assert!(variables(&en).len() > 40, "the messages were read");
        assert_eq!(variables(&en), variables(&ja));
    }

    #[test]
    fn a_message_that_does_not_exist_or_lacks_its_variable_is_an_error() {
        let texts = Texts::load().unwrap();
        assert!(texts.say(Language::En, "no-such-message", None).is_err());
        assert!(texts.say(Language::Ja, "rule-length", None).is_err());
    }
}
