//! `[branding]`: how pages and letters look and whom they name.

use std::ffi::OsStr;
use std::path::PathBuf;

use serde_json::json;

use super::keys::forms::{OneOf, Text, line, path};
use super::keys::{Slot, Walker};
use crate::domain::language::Language;

/// `[branding]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branding {
    /// The name on pages and letters. Default `Sekisho`.
    pub name: String,
    /// SVG or PNG file shown on pages. Default: the built-in mark.
    pub logo: Option<PathBuf>,
    /// Directory with templates, texts and files in the place of the built-in ones. Default none.
    pub theme: Option<PathBuf>,
    /// Accent colour, `#rrggbb`. Default `#0f766e`.
    pub accent: String,
    /// Language where the browser asks for none we speak. Default `en`.
    pub language: Language,
    /// Whom people ask for help; shown on pages. Default none.
    pub support: Option<String>,
}

impl Default for Branding {
    fn default() -> Self {
        Self {
            name: "Sekisho".to_owned(),
            logo: None,
            theme: None,
            accent: "#0f766e".to_owned(),
            language: Language::En,
            support: None,
        }
    }
}

impl Branding {
    pub(super) fn walk(&mut self, walker: &mut impl Walker) {
        walker.section("branding", "How pages and letters look.");
        walker.key(
            "name",
            "The name on pages and letters: what people here call the web client.",
            &line(),
            Slot::Default(&mut self.name),
        );
        walker.key(
            "logo",
            "SVG or PNG file shown on pages. Without it, the built-in mark.",
            &Text {
                parse: parse_logo,
                ..path()
            },
            Slot::Optional(&mut self.logo, "/etc/sekisho/logo.svg".into()),
        );
        walker.key(
            "theme",
            "Directory with pages, letters, texts and style sheets that take the place of the built-in ones; see \
             docs/theme.md. Checked at every start.",
            &path(),
            Slot::Optional(&mut self.theme, "/etc/sekisho/theme".into()),
        );
        walker.key(
            "accent",
            "Colour of buttons and links, as #rrggbb. Choose one that white text can be read on.",
            &Text {
                parse: parse_colour,
                print: Clone::clone,
                schema: json!({ "pattern": "^#[0-9A-Fa-f]{6}$" }),
            },
            Slot::Default(&mut self.accent),
        );
        walker.key(
            "language",
            "Language of pages where the browser asks for none that the gateway speaks.",
            &OneOf(Language::ALL.map(|language| (language.tag(), language)).into()),
            Slot::Default(&mut self.language),
        );
        walker.key(
            "support",
            "Whom people ask for help, shown on pages.",
            &line(),
            Slot::Optional(&mut self.support, "IT desk, extension 100".to_owned()),
        );
    }
}

fn parse_logo(text: &str) -> Result<PathBuf, String> {
    let path = (path().parse)(text)?;
    let extension = path.extension().map(OsStr::to_ascii_lowercase);
    match extension.as_deref().and_then(|extension| extension.to_str()) {
        Some("svg" | "png") => Ok(path),
        _ => Err(format!("{text:?} does not end in .svg or .png")),
    }
}

fn parse_colour(text: &str) -> Result<String, String> {
    let digits = text.strip_prefix('#').unwrap_or_default();
    if digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is not a colour such as \"#0f766e\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_cannot_carry_anything_else_into_a_style_sheet() {
        assert!(parse_colour("#0F766e").is_ok());
        for bad in [
            "", "#", "0f766e", "#0f766", "#0f766ee", "#0f766g", "red", "#000;}*{", "#éé",
        ] {
            assert!(parse_colour(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_logo_is_svg_or_png() {
        assert!(parse_logo("/a/logo.SVG").is_ok());
        for bad in ["", "/a/logo", "/a/logo.gif", "/a/png"] {
            assert!(parse_logo(bad).is_err(), "{bad:?}");
        }
    }
}
