//! The text form of a hash: `$argon2id$v=19$m=19456,t=2,p=1,keyid=1a2b3c4d$salt$output`.
//!
//! Read by our own few lines: the library's reader knows neither our pepper nor our bounds, and a
//! row with `m=4294967295` must not become four terabytes.

use std::fmt::{self, Write};

use argon2::{Algorithm, Params, Version};
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;

/// Most passes a stored hash may ask for; as many as the configuration allows.
const MAX_PASSES: u32 = 20;

/// Most lanes a stored hash may ask for.
const MAX_LANES: u32 = 16;

/// What a hash costs and how it is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// The variant: ours is always Argon2id.
    pub algorithm: Algorithm,
    /// Argon2's version.
    pub version: Version,
    /// `m`, in KiB.
    pub memory_kib: u32,
    /// `t`.
    pub passes: u32,
    /// `p`.
    pub lanes: u32,
}

impl Recipe {
    /// In the library's terms.
    pub fn params(self) -> Result<Params, argon2::Error> {
        Params::new(self.memory_kib, self.passes, self.lanes, None)
    }

    /// The work, in blocks of one KiB to fill.
    pub fn blocks_filled(self) -> u64 {
        u64::from(self.memory_kib) * u64::from(self.passes)
    }
}

/// A stored hash, read.
#[derive(Clone, PartialEq, Eq)]
pub struct Phc {
    /// How it was computed.
    pub recipe: Recipe,
    /// Name of the pepper that went into it; `None` for a hash made elsewhere, without one.
    pub key_id: Option<String>,
    /// The salt.
    pub salt: Vec<u8>,
    /// The hash itself.
    pub output: Vec<u8>,
}

impl Phc {
    /// Reads a hash and checks it against our bounds.
    ///
    /// # Errors
    /// What is wrong with it, without a part of it.
    pub fn parse(text: &str, max_memory_kib: u32) -> Result<Self, &'static str> {
        let mut parts = text.split('$');
        let mut part = || parts.next().ok_or("it has too few parts");
        if !part()?.is_empty() {
            return Err("it is not an Argon2 hash");
        }
        let algorithm = Algorithm::new(part()?).map_err(|_| "it is not an Argon2 hash")?;
        let (recipe, key_id) = match part()? {
            version if version.starts_with("v=") => parameters(algorithm, value(version, "v")?, part()?)?,
            // Before the version had a place in the text there was only this one.
            first => parameters(algorithm, Version::V0x10.into(), first)?,
        };
        let (salt, output) = (bytes(part()?)?, bytes(part()?)?);
        if parts.next().is_some() {
            return Err("it has too many parts");
        }
        check(recipe, &salt, &output, max_memory_kib)?;
        Ok(Self {
            recipe,
            key_id,
            salt,
            output,
        })
    }
}

fn parameters(algorithm: Algorithm, version: u32, text: &str) -> Result<(Recipe, Option<String>), &'static str> {
    let mut pairs = text.split(',');
    let mut number = |name| value(pairs.next().unwrap_or_default(), name);
    let recipe = Recipe {
        algorithm,
        version: Version::try_from(version).map_err(|_| "its version is unknown")?,
        memory_kib: number("m")?,
        passes: number("t")?,
        lanes: number("p")?,
    };
    let key_id = pairs
        .next()
        .map(|pair| pair.strip_prefix("keyid=").ok_or("it has an unknown parameter"))
        .transpose()?;
    match pairs.next() {
        Some(_) => Err("it has an unknown parameter"),
        None => Ok((recipe, key_id.map(str::to_owned))),
    }
}

fn value(pair: &str, name: &str) -> Result<u32, &'static str> {
    pair.strip_prefix(name)
        .and_then(|rest| rest.strip_prefix('='))
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok())
        .ok_or("its parameters are not those of Argon2")
}

fn bytes(text: &str) -> Result<Vec<u8>, &'static str> {
    BASE64_STANDARD_NO_PAD
        .decode(text)
        .map_err(|_| "its salt or output is not base64")
}

fn check(recipe: Recipe, salt: &[u8], output: &[u8], max_memory_kib: u32) -> Result<(), &'static str> {
    let outside = |number: u32, most: u32| number == 0 || number > most;
    if outside(recipe.memory_kib, max_memory_kib) {
        Err("it asks for more memory than is allowed")
    } else if outside(recipe.passes, MAX_PASSES) || outside(recipe.lanes, MAX_LANES) || recipe.params().is_err() {
        Err("its parameters are out of bounds")
    } else if !(8..=64).contains(&salt.len()) || !(16..=64).contains(&output.len()) {
        Err("its salt or output has an odd length")
    } else {
        Ok(())
    }
}

impl fmt::Display for Phc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let recipe = self.recipe;
        let (algorithm, version) = (recipe.algorithm.as_str(), u32::from(recipe.version));
        let (m, t, p) = (recipe.memory_kib, recipe.passes, recipe.lanes);
        write!(f, "${algorithm}$v={version}$m={m},t={t},p={p}")?;
        if let Some(key_id) = &self.key_id {
            write!(f, ",keyid={key_id}")?;
        }
        for part in [&self.salt, &self.output] {
            f.write_char('$')?;
            f.write_str(&BASE64_STANDARD_NO_PAD.encode(part))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const SALT: &str = "AgICAgICAgICAgICAgICAg";
    const OUTPUT: &str = "tB+8/oXHAMKgfH3StXN+vlWSj6Ukqudo8VgD27natns";

    #[rstest]
    #[case("$argon2id$v=19$m=19456,t=2,p=1,keyid=003392d3")]
    #[case("$argon2id$v=19$m=19456,t=2,p=1")]
    #[case("$argon2id$v=16$m=8,t=20,p=1")]
    #[case("$argon2i$v=19$m=64,t=2,p=1")]
    #[case("$argon2d$v=19$m=64,t=2,p=2")]
    fn a_hash_reads_and_writes_the_same(#[case] head: &str) {
        let text = format!("{head}${SALT}${OUTPUT}");
        let hash = Phc::parse(&text, 19_456).ok().unwrap();
        assert_eq!(hash.salt, [2; 16]);
        assert_eq!(hash.to_string(), text);
    }

    #[test]
    fn a_hash_from_before_versions_reads_as_the_first() {
        let hash = Phc::parse(&format!("$argon2i$m=64,t=2,p=1${SALT}${OUTPUT}"), 64)
            .ok()
            .unwrap();
        assert_eq!(hash.recipe.version, Version::V0x10);
        assert_eq!(hash.recipe.algorithm, Algorithm::Argon2i);
    }

    #[rstest]
    #[case::another_algorithm("$argon2x$v=19$m=64,t=2,p=1")]
    #[case::empty_version("$argon2id$v=$m=64,t=2,p=1")]
    #[case::unknown_version("$argon2id$v=20$m=64,t=2,p=1")]
    #[case::order("$argon2id$v=19$t=2,m=64,p=1")]
    #[case::no_lanes("$argon2id$v=19$m=64,t=2")]
    #[case::sign("$argon2id$v=19$m=+64,t=2,p=1")]
    #[case::empty_number("$argon2id$v=19$m=,t=2,p=1")]
    #[case::too_much_memory("$argon2id$v=19$m=65537,t=2,p=1")]
    #[case::overflow("$argon2id$v=19$m=4294967296,t=2,p=1")]
    #[case::too_little_memory("$argon2id$v=19$m=4,t=2,p=1")]
    #[case::too_many_passes("$argon2id$v=19$m=64,t=21,p=1")]
    #[case::no_passes("$argon2id$v=19$m=64,t=0,p=1")]
    #[case::too_many_lanes("$argon2id$v=19$m=4096,t=2,p=17")]
    #[case::lanes_beyond_memory("$argon2id$v=19$m=64,t=2,p=9")]
    #[case::data("$argon2id$v=19$m=64,t=2,p=1,data=AAAA")]
    #[case::two_key_ids("$argon2id$v=19$m=64,t=2,p=1,keyid=a,keyid=b")]
    fn a_head_out_of_bounds_is_refused(#[case] head: &str) {
        assert!(Phc::parse(&format!("{head}${SALT}${OUTPUT}"), 65_536).is_err());
    }

    #[rstest]
    #[case("")]
    #[case("hunter2")]
    #[case("$argon2id$v=19$m=64,t=2,p=1")]
    #[case("$argon2id$v=19$m=64,t=2,p=1$AgICAgICAgICAgICAgICAg")]
    #[case("$argon2id$v=19$m=64,t=2,p=1$AgI$tB+8/oXHAMKgfH3StXN+vlWSj6Ukqudo8VgD27natns")]
    #[case("$argon2id$v=19$m=64,t=2,p=1$AgICAgICAgICAgICAgICAg$tB+8")]
    #[case("$argon2id$v=19$m=64,t=2,p=1$AgICAgICAgICAgICAgICAg$tB-8_oXHAMKgfH3StXN-vlWSj6Ukqudo8VgD27natns")]
    #[case("$argon2id$v=19$m=64,t=2,p=1$AgICAgICAgICAgICAgICAg$tB+8/oXHAMKgfH3StXN+vlWSj6Ukqudo8VgD27natns$")]
    fn a_broken_text_is_refused(#[case] text: &str) {
        assert!(Phc::parse(text, 65_536).is_err());
    }
}
