//! `sekisho healthcheck`: asks the running gateway whether it can serve people; for service managers and containers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use http::StatusCode;
use http::header::HOST;
use serde::Deserialize;
use url::Url;

use crate::config::{Config, RESERVED_PREFIX};

use super::output::{CARE, aside};
use super::{open, runtime};

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(5);

/// What `/.sekisho/health/ready` answers.
#[derive(Deserialize)]
struct Readiness {
    ready: bool,
    #[serde(default)]
    parts: std::collections::BTreeMap<String, bool>,
}

/// Succeeds when the gateway with this configuration answers that it serves people; says what of it does not work.
pub fn run(path: &Path) -> anyhow::Result<()> {
    let config = open::config(path)?;
    let way = Way::to(&config)?;
    let (status, body) = runtime::brief()?.block_on(way.ask())?;
    if let Some(warning) = judge(status, &body)? {
        aside(format_args!("{CARE}warning:{CARE:#} {warning}"));
    }
    Ok(())
}

/// How the gateway is reached from its own machine.
struct Way {
    url: Url,
    /// What the in-office door is called, whatever port it listens on.
    host: String,
    address: SocketAddr,
}

impl Way {
    fn to(config: &Config) -> anyhow::Result<Self> {
        let mut addresses = config.server.addresses();
        let address = addresses.next().context("server.listen names no address to ask at")?;
        if address.port() == 0 {
            bail!("server.listen leaves the port to the system, so that it cannot be known here");
        }
        let address = SocketAddr::new(reachable(address.ip()), address.port());
        let door = &config.doors.in_office;
        let mut url = Url::parse(&door.link(&format!("{RESERVED_PREFIX}health/ready")))?;
        if !matches!(url.host(), Some(url::Host::Domain(_))) {
            url.set_ip_host(address.ip())
                .map_err(|()| anyhow!("{door} has no host"))?;
        }
        url.set_port(Some(address.port()))
            .map_err(|()| anyhow!("{door} has no port"))?;
        Ok(Self {
            url,
            host: door.authority(),
            address,
        })
    }

    async fn ask(&self) -> anyhow::Result<(StatusCode, String)> {
        let client = reqwest::Client::builder()
            // Only the machine itself is asked; a certificate that has expired is not a matter of health.
            .tls_danger_accept_invalid_certs(true)
            .resolve(self.url.host_str().unwrap_or_default(), self.address)
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()?;
        let asked = || format!("the gateway does not answer on {}", self.address);
        let answer = client
            .get(self.url.clone())
            .header(HOST, &self.host)
            .send()
            .await
            .map_err(reqwest::Error::without_url)
            .with_context(asked)?;
        let status = answer.status();
        let body = answer
            .text()
            .await
            .map_err(reqwest::Error::without_url)
            .with_context(asked)?;
        Ok((status, body))
    }
}

/// Who listens everywhere is asked at home.
fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(v4) if v4.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        _ => ip,
    }
}

/// What of a gateway does not work that serves whoever is signed in.
fn judge(status: StatusCode, body: &str) -> anyhow::Result<Option<String>> {
    let Ok(Readiness { ready, parts }) = serde_json::from_str(body) else {
        bail!("what answers there is not this gateway, or it is out of order ({status})");
    };
    let failing: Vec<_> = parts
        .iter()
        .filter(|(_, well)| !**well)
        .map(|(name, _)| &**name)
        .collect();
    let failing = failing.join(", ");
    if !ready || status != StatusCode::OK {
        if failing.is_empty() {
            bail!("the gateway is not ready ({status})");
        }
        bail!("the gateway is not ready: not working: {failing}");
    }
    Ok((!failing.is_empty()).then(|| {
        format!("not working: {failing}; whoever is signed in is served, and nobody can sign in or set a password")
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::doors::Door;

    fn way(door: &str, listen: &str) -> anyhow::Result<Way> {
        let mut config = Config::default();
        config.doors.in_office = Door::parse(door).unwrap();
        config.server.listen = vec![listen.parse().unwrap()];
        Way::to(&config)
    }

    #[test]
    fn the_gateway_is_asked_at_home_under_the_name_of_its_door() {
        let office = way("https://phone.office.example", "0.0.0.0:8443").unwrap();
        assert_eq!(
            office.url.as_str(),
            "https://phone.office.example:8443/.sekisho/health/ready"
        );
        assert_eq!(office.host, "phone.office.example");
        assert_eq!(office.address, "127.0.0.1:8443".parse().unwrap());

        let six = way("https://localhost:9443", "[::]:9443").unwrap();
        assert_eq!(
            (six.host.as_str(), six.address),
            ("localhost:9443", "[::1]:9443".parse().unwrap())
        );

        let number = way("https://192.0.2.7", "127.0.0.1:8443").unwrap();
        assert_eq!(number.url.as_str(), "https://127.0.0.1:8443/.sekisho/health/ready");
        assert_eq!(number.host, "192.0.2.7");
    }

    #[test]
    fn a_port_that_cannot_be_known_is_said() {
        let error = way("https://phone.example", "127.0.0.1:0").err().unwrap();
        assert!(error.to_string().contains("server.listen"));
    }

    #[test]
    fn only_a_gateway_with_all_its_parts_is_healthy() {
        let words = |status, body| judge(status, body).unwrap_err().to_string();
        let well = judge(StatusCode::OK, r#"{"ready":true,"parts":{"store":true}}"#);
        assert_eq!(well.unwrap(), None);
        let full = judge(
            StatusCode::OK,
            r#"{"ready":true,"parts":{"store":true,"store-write":false}}"#,
        );
        let warning = full.unwrap().unwrap();
        assert!(warning.starts_with("not working: store-write;"), "{warning}");
        assert_eq!(
            words(
                StatusCode::SERVICE_UNAVAILABLE,
                r#"{"ready":false,"parts":{"store":false,"other":true}}"#
            ),
            "the gateway is not ready: not working: store"
        );
        assert!(words(StatusCode::SERVICE_UNAVAILABLE, r#"{"ready":true}"#).contains("503"));
        assert!(words(StatusCode::OK, "<html>").contains("not this gateway"));
    }
}
