//! The files that pages need, from the binary, each under an address that names its version.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use rust_embed::Embed;
use sha2::{Digest, Sha256};

use super::overrides::Theme;
use super::routes::RESERVED_PREFIX;
use super::settings::{Branding, PortalProblem};
use super::theme::{self, Colour};

#[derive(Embed)]
#[folder = "src/web/assets"]
struct Files;

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// One file as it is served.
#[derive(Clone, Debug)]
pub(super) struct Asset {
    /// Its bytes.
    pub bytes: Bytes,
    /// Its media type.
    pub media_type: &'static str,
    /// Digest of the bytes: the version in addresses and the entity tag.
    pub version: String,
}

/// All files, by name.
pub(super) struct Assets {
    files: BTreeMap<&'static str, Asset>,
    mark: String,
}

impl Assets {
    /// The embedded files or a theme's in their place, and those made from the operator's choices.
    pub(super) fn load(branding: &Branding, theme: &Theme) -> Result<Self, PortalProblem> {
        let accent = Colour::parse(&branding.accent).ok_or_else(|| PortalProblem::Accent(branding.accent.clone()))?;
        let file = |name: &str| theme.assets.get(name).cloned().map_or_else(|| embedded(name), Ok);
        let mark = String::from_utf8_lossy(&file("mark.svg")?).into_owned();
        let mut style = file("style.css")?.to_vec();
        if let Some(extra) = theme.assets.get("extra.css") {
            style.push(b'\n');
            style.extend_from_slice(extra);
        }
        let mut files = BTreeMap::from([
            ("style.css", asset(style.into(), "text/css; charset=utf-8")),
            ("portal.js", asset(file("portal.js")?, JAVASCRIPT)),
            ("session.js", asset(file("session.js")?, JAVASCRIPT)),
            ("session.css", asset(file("session.css")?, "text/css; charset=utf-8")),
            ("done.js", asset(file("done.js")?, JAVASCRIPT)),
            (
                "theme.css",
                asset(theme::style_sheet(accent).into(), "text/css; charset=utf-8"),
            ),
            ("mark.svg", asset(theme::mark(&mark, accent).into(), "image/svg+xml")),
        ]);
        if let Some(logo) = &branding.logo {
            files.insert("logo", asset(logo.bytes.clone(), logo.media_type));
        }
        Ok(Self { files, mark })
    }

    /// A file by its name.
    pub(super) fn find(&self, name: &str) -> Option<&Asset> {
        self.files.get(name)
    }

    /// The address of a file, version included.
    pub(super) fn address(&self, name: &str) -> Option<String> {
        self.find(name).map(|asset| asset.address(name))
    }

    /// The built-in mark, to stand inside a page and take its colour.
    pub(super) fn mark(&self) -> &str {
        &self.mark
    }

    /// The address of each file, version included.
    pub(super) fn addresses(&self) -> BTreeMap<String, String> {
        let key = |name: &str| name.replace('.', "_");
        self.files
            .iter()
            .map(|(name, asset)| (key(name), asset.address(name)))
            .collect()
    }
}

impl Asset {
    fn address(&self, name: &str) -> String {
        format!("{RESERVED_PREFIX}assets/{name}?v={}", self.version)
    }
}

fn asset(bytes: Bytes, media_type: &'static str) -> Asset {
    let digest = Sha256::digest(&bytes);
    Asset {
        version: BASE64_URL_SAFE_NO_PAD.encode(&digest[..12]),
        bytes,
        media_type,
    }
}

/// Our own files, by name.
pub(super) fn built_in() -> Vec<(String, Vec<u8>)> {
    Files::iter()
        .filter_map(|name| Files::get(&name).map(|file| (name.to_string(), file.data.into_owned())))
        .collect()
}

fn embedded(name: &str) -> Result<Bytes, PortalProblem> {
    let file = Files::get(name).ok_or_else(|| PortalProblem::BuiltIn {
        what: name.to_owned(),
        problem: "it is missing".to_owned(),
    })?;
    Ok(Bytes::from(file.data.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_for_web_clients_stays_within_two_kilobytes_and_needs_nothing_else() {
        let script = String::from_utf8(embedded("session.js").unwrap().to_vec()).unwrap();
        assert!(script.len() <= 2048, "{} bytes", script.len());
        for foreign in ["import", "eval", "Function(", "innerHTML", "http:", "https:", ".style."] {
            assert!(!script.contains(foreign), "{foreign}");
        }
    }
}
