//! The four ports of the demo, tried out before anything starts.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use crate::config::Config;

use super::super::output::Several;

/// The demo's ports.
pub struct Ports {
    pub gateway: u16,
    pub client: u16,
    pub smtp: u16,
    pub inbox: u16,
    /// Where the gateway listens.
    listen: Vec<SocketAddr>,
}

impl Ports {
    pub fn of(config: &Config, inbox: u16) -> Self {
        Self {
            gateway: config.server.addresses().next().map_or(443, |address| address.port()),
            client: config.upstream.port().unwrap_or(80),
            smtp: config.mail.smtp_port,
            inbox,
            listen: config.server.addresses().collect(),
        }
    }

    /// Takes every port for a moment. Answers whether the machine has IPv6.
    ///
    /// # Errors
    /// Each port that cannot be had, with the option that changes it.
    pub fn reserve(&self) -> anyhow::Result<bool> {
        let mut problems = self.named_twice();
        let mut ipv6 = true;
        let mut held = Vec::new();
        if problems.is_empty() {
            for (address, what, option) in self.all() {
                match TcpListener::bind(address) {
                    Ok(listener) => held.push(listener),
                    Err(error) if address.is_ipv6() && is_missing(&error) => ipv6 = false,
                    Err(error) => problems.push(refusal(address.port(), what, option, &error)),
                }
            }
        }
        problems.dedup();
        if problems.is_empty() {
            Ok(ipv6)
        } else {
            Err(Several(problems).into())
        }
    }

    fn all(&self) -> Vec<(SocketAddr, &'static str, &'static str)> {
        let home = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        let mut all: Vec<_> = self
            .listen
            .iter()
            .map(|address| (*address, "the gateway", "--port"))
            .collect();
        all.push((home(self.client), "the sample web client", "--client-port"));
        all.push((home(self.smtp), "the mail catcher", "--smtp-port"));
        all.push((home(self.inbox), "the inbox page", "--inbox-port"));
        all
    }

    fn named_twice(&self) -> Vec<String> {
        let options = [
            (self.gateway, "--port"),
            (self.client, "--client-port"),
            (self.smtp, "--smtp-port"),
            (self.inbox, "--inbox-port"),
        ];
        let mut problems = Vec::new();
        for (index, (port, option)) in options.iter().enumerate() {
            if let Some((_, other)) = options[..index].iter().find(|(taken, _)| taken == port) {
                problems.push(format!("port {port} is named twice; change {other} or {option}"));
            }
        }
        problems
    }
}

/// A machine without IPv6 has no `::1`.
fn is_missing(error: &io::Error) -> bool {
    /// EAFNOSUPPORT of Linux, for which the standard library has no name.
    const NO_SUCH_FAMILY: i32 = 97;
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(NO_SUCH_FAMILY)
}

fn refusal(port: u16, what: &str, option: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "port {port} for {what} is in use by another program (another demo?); stop that, or choose another port with \
             {option}"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("port {port} for {what} may not be used by this user; choose one above 1023 with {option}")
        }
        _ => format!("port {port} for {what} cannot be used ({error}); choose another with {option}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// Ports that were free a moment ago.
    fn free() -> Ports {
        let held: Vec<_> = (0..4).map(|_| TcpListener::bind((HOME, 0)).unwrap()).collect();
        let port = |index: usize| held[index].local_addr().unwrap().port();
        Ports {
            gateway: port(0),
            client: port(1),
            smtp: port(2),
            inbox: port(3),
            listen: vec![SocketAddr::new(HOME, port(0))],
        }
    }

    #[test]
    fn a_port_in_use_is_named_with_the_option_that_changes_it() {
        let taken = TcpListener::bind((HOME, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let complaint = |ports: Ports| ports.reserve().unwrap_err().to_string();
        for (ports, option) in [
            (
                Ports {
                    gateway: port,
                    listen: vec![SocketAddr::new(HOME, port)],
                    ..free()
                },
                "--port",
            ),
            (Ports { client: port, ..free() }, "--client-port"),
            (Ports { smtp: port, ..free() }, "--smtp-port"),
            (Ports { inbox: port, ..free() }, "--inbox-port"),
        ] {
            let words = complaint(ports);
            assert!(words.starts_with(&format!("port {port} for ")), "{words}");
            assert!(
                words.contains("is in use") && words.ends_with(&format!("with {option}")),
                "{words}"
            );
        }
    }

    #[test]
    fn one_port_cannot_serve_two() {
        let mut ports = free();
        ports.inbox = ports.client;
        let words = ports.reserve().unwrap_err().to_string();
        assert_eq!(
            words,
            format!(
                "port {} is named twice; change --client-port or --inbox-port",
                ports.client
            )
        );
    }
}
