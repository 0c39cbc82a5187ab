//! What a theme directory puts in the place of our own pages, texts and files, and the check that all of it works.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use minijinja::{Environment, Error, Value};

use super::assets::{self, Assets};
use super::leaks;
use super::page::{self, Pages};
use super::samples::{Sample, samples};
use super::settings::{PortalProblem, PortalSettings};
use super::text::{self, Texts};

/// Files of a theme, by their names below `pages`, `text` and `assets`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Theme {
    /// Page templates.
    pub pages: BTreeMap<String, String>,
    /// Messages; those left out stay ours.
    pub text: BTreeMap<String, String>,
    /// Style sheets, the script and the mark.
    pub assets: BTreeMap<String, Bytes>,
}

impl Theme {
    /// Our own files, to start a theme from: the path below the theme's directory, and the bytes.
    pub fn built_in() -> Vec<(String, Vec<u8>)> {
        let below = |directory: &'static str, files: Vec<(String, Vec<u8>)>| {
            files
                .into_iter()
                .map(move |(name, bytes)| (format!("{directory}/{name}"), bytes))
        };
        below("pages", page::built_in())
            .chain(below("text", text::built_in()))
            .chain(below("assets", assets::built_in()))
            .collect()
    }

    /// Whether a theme may have a file of this path.
    pub fn has_place_for(path: &str) -> bool {
        path == "assets/extra.css" || Self::built_in().iter().any(|(known, _)| known == path)
    }

    /// Whether everything is our own.
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty() && self.text.is_empty() && self.assets.is_empty()
    }
}

/// Everything that is wrong with the theme of these settings: what does not parse, what cannot be shown with sample
/// data, which forms lack a field.
pub fn check_theme(settings: &PortalSettings) -> Vec<PortalProblem> {
    let built = Texts::load(&settings.theme).and_then(|texts| {
        let assets = Assets::load(&settings.branding, &settings.theme)?;
        Pages::load(settings, &assets, &texts.into())
    });
    match built {
        Ok(pages) => problems(&pages),
        Err(problem) => vec![problem],
    }
}

/// What is wrong with templates that parse.
pub(super) fn problems(pages: &Pages) -> Vec<PortalProblem> {
    let mut found: BTreeSet<(String, String)> = BTreeSet::new();
    for sample in samples() {
        match pages.render(sample.template, sample.frame(), sample.content.clone()) {
            Err(error) => {
                let file = error.name().unwrap_or(sample.template).to_owned();
                let words = explain(pages.environment(), &file, &error, &sample);
                found.insert((file, words));
            }
            Ok(html) => {
                let misled = leaks::problems(&html).into_iter();
                found.extend(misled.map(|words| (sample.template.to_owned(), words)));
                for field in sample
                    .fields
                    .iter()
                    .filter(|field| !html.contains(&format!("name=\"{field}\"")))
                {
                    let words = format!("its form has no field {field:?}, without which the page does not work");
                    found.insert((sample.template.to_owned(), words));
                }
            }
        }
    }
    let theme = |(file, problem)| PortalProblem::Theme {
        file: format!("pages/{file}"),
        problem,
    };
    found.into_iter().map(theme).collect()
}

/// Why a template cannot be filled, with the names it asks for in vain.
fn explain(environment: &Environment<'_>, file: &str, error: &Error, sample: &Sample) -> String {
    let line = error.line().map_or_else(String::new, |line| format!("line {line}: "));
    let there = sample.names(environment);
    let asked = environment
        .get_template(file)
        .map(|template| template.undeclared_variables(true))
        .unwrap_or_default();
    let mut missing: Vec<String> = asked.into_iter().filter(|path| is_missing(&there, path)).collect();
    missing.sort();
    if missing.is_empty() {
        return format!("{line}{error}");
    }
    let names: Vec<String> = there.into_keys().collect();
    format!(
        "{line}there is no {} here; there are: {}",
        missing.join(", "),
        names.join(", ")
    )
}

/// Whether a dotted name leads nowhere. What is no value of the page is a function, or a name that an including
/// template gives.
fn is_missing(there: &BTreeMap<String, Value>, path: &str) -> bool {
    const GIVEN: [&str; 10] = [
        "t",
        "range",
        "dict",
        "namespace",
        "debug",
        "super",
        "self",
        "loop",
        "caller",
        "varargs",
    ];
    let mut parts = path.split('.');
    let first = parts.next().unwrap_or_default();
    let Some(value) = there.get(first) else {
        return !GIVEN.contains(&first) && !["id", "name", "autocomplete", "described"].contains(&first);
    };
    let mut value = value.clone();
    for part in parts {
        if value.is_undefined() || value.is_none() {
            return value.is_undefined();
        }
        value = value.get_attr(part).unwrap_or(Value::UNDEFINED);
    }
    value.is_undefined()
}
