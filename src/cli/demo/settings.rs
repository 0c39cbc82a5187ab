//! The demo's configuration: `config/demo.toml`, with what the options and this machine say put in its place.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use url::Url;

use crate::app;
use crate::config::{Config, Listen};
use crate::crypto::devca::{DEMO_NAMES, DevCertificates};
use crate::domain::doors::Door;
use crate::domain::session::Lifetime;

use super::super::open;
use super::super::output::Several;
use super::ground::{self, Ground};

/// Sessions whose end can be waited for.
pub const SHORT: Lifetime = Lifetime {
    idle: Duration::from_secs(90),
    absolute: Duration::from_mins(5),
};

const FILE: &str = "config/demo.toml";
const BUILT_IN: &str = include_str!("../../../config/demo.toml");

const WRITTEN: &str =
    "# Written by sekisho demo at each start. While it runs, what is changed here is taken up as by any gateway.\n\n";

const POLICY: &str = include_str!("../../../config/demo-limits.toml");

/// The file where it is at hand, so that it can be changed, and what was built in elsewhere.
pub fn load() -> anyhow::Result<Config> {
    let file = Path::new(FILE);
    if file.is_file() { open::config(file) } else { built_in() }
}

fn built_in() -> anyhow::Result<Config> {
    Config::parse(BUILT_IN, Path::new(FILE)).map_err(|errors| Several::of(&errors.0).into())
}

/// Moves the gateway and both doors to this port.
pub fn move_to(config: &mut Config, port: u16) -> anyhow::Result<()> {
    for place in &mut config.server.listen {
        if let Listen::Tcp(address) = place {
            address.set_port(port);
        }
    }
    let issuer_is_door = config.assertion.terms.issuer == config.doors.out_of_office.origin();
    for door in [&mut config.doors.in_office, &mut config.doors.out_of_office] {
        *door = at_port(door, port)?;
    }
    if issuer_is_door {
        config.assertion.terms.issuer = config.doors.out_of_office.origin();
    }
    Ok(())
}

fn at_port(door: &Door, port: u16) -> anyhow::Result<Door> {
    let mut url = Url::parse(&door.origin())?;
    url.set_port(Some(port)).map_err(|()| anyhow!("{door} takes no port"))?;
    Door::parse(url.as_str()).map_err(|problem| anyhow!("{url}: {problem}"))
}

/// Puts store and secrets into the data directory, by paths that hold wherever a later command is started.
pub fn keep_in(config: &mut Config, data: &Path) -> anyhow::Result<()> {
    let (store, secrets) = ground::store_and_secrets(&whole(data)?);
    config.store.directory = store;
    config.secrets.directory = secrets;
    Ok(())
}

/// Has the policies of the limits in the data directory, where they may be tuned, promoted and reverted. The one in force
/// is laid there once, from the file where it is at hand and from what was built in elsewhere.
pub fn policies(config: &mut Config, ground: &Ground) -> anyhow::Result<()> {
    let Some(named) = config.limits.policy.take() else {
        return Ok(());
    };
    let file = whole(&ground.policy())?;
    if !file.exists() {
        let first = if named.is_absolute() {
            fs::read_to_string(&named).with_context(|| format!("could not read {}", named.display()))?
        } else {
            POLICY.to_owned()
        };
        fs::write(&file, first).with_context(|| format!("could not write {}", file.display()))?;
    }
    config.limits.policy = Some(file);
    if config.limits.candidate.is_none() {
        config.limits.candidate = Some(whole(&ground.candidate())?);
    }
    Ok(())
}

/// The configuration as a file for other commands.
pub fn written(config: &Config) -> String {
    format!("{WRITTEN}{}", config.show())
}

/// Makes the certificates where the configuration looks for them.
pub fn certificates(config: &mut Config) -> anyhow::Result<DevCertificates> {
    let directory = config.server.tls_certificate.parent().unwrap_or(Path::new("certs"));
    let certificates = DevCertificates::ensure(&whole(directory)?, &DEMO_NAMES, app::world().now())?;
    config.server.tls_certificate.clone_from(&certificates.certificate);
    config.server.tls_key.clone_from(&certificates.key);
    Ok(certificates)
}

/// On a machine without IPv6.
pub fn without_ipv6(config: &mut Config) {
    let is_ipv6 = |place: &Listen| place.address().is_some_and(|address| address.is_ipv6());
    config.server.listen.retain(|place| !is_ipv6(place));
}

fn whole(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("could not find out where {} is", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::limits_file::{LimitsFile, Preset};

    #[test]
    fn the_doors_and_the_issuer_move_with_the_port() {
        let mut config = built_in().unwrap();
        move_to(&mut config, 9443).unwrap();
        assert_eq!(config.doors.in_office.origin(), "https://localhost:9443");
        assert_eq!(config.doors.out_of_office.origin(), "https://sekisho.localhost:9443");
        assert_eq!(config.assertion.terms.issuer, "https://sekisho.localhost:9443");
        assert!(config.server.addresses().all(|address| address.port() == 9443));
        move_to(&mut config, 443).unwrap();
        assert_eq!(config.doors.in_office.origin(), "https://localhost");
    }

    #[test]
    fn the_policy_lies_with_the_data_and_what_became_of_it_there_is_kept() {
        let home = tempfile::tempdir().unwrap();
        let laid = |config: &mut Config| {
            let ground = Ground::at(&home.path().join("data")).unwrap();
            ground.prepare().unwrap();
            policies(config, &ground).unwrap();
            let file = config.limits.policy.clone().unwrap();
            assert!(file.starts_with(home.path()), "{file:?}");
            (LimitsFile::load(&file).unwrap().preset, file)
        };
        let (preset, file) = laid(&mut built_in().unwrap());
        assert_eq!(preset, Some(Preset::Relaxed));

        // A file that is at hand comes before what was built in, and what was tuned before both.
        let mut at_hand = built_in().unwrap();
        let named = home.path().join("named.toml");
        fs::write(&named, "preset = \"strict\"\n").unwrap();
        at_hand.limits.policy = Some(named.clone());
        assert_eq!(laid(&mut at_hand.clone()).0, Some(Preset::Relaxed));
        fs::remove_file(file).unwrap();
        assert_eq!(laid(&mut at_hand).0, Some(Preset::Strict));
        assert!(named.exists());
        let candidate = at_hand.limits.candidate.unwrap();
        assert!(candidate.starts_with(home.path()) && !candidate.exists());
    }

    #[test]
    fn what_the_demo_runs_with_reads_back_as_the_same() {
        let mut config = built_in().unwrap();
        keep_in(&mut config, Path::new("somewhere")).unwrap();
        without_ipv6(&mut config);
        assert!(config.store.directory.is_absolute() && config.secrets.directory.ends_with("somewhere/secrets"));
        assert_eq!(config.server.listen.len(), 1);
        assert_eq!(Config::parse(&written(&config), Path::new("shown")).unwrap(), config);
    }

    #[test]
    fn the_demo_listens_to_this_machine_alone() {
        let config = built_in().unwrap();
        assert!(config.server.addresses().all(|address| address.ip().is_loopback()));
        assert!(config.limits.enabled);
    }
}
