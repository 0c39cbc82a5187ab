//! What people meet first: TLS on the terms of the configuration, certificates that follow their files, and the way there
//! from plain HTTP.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::server::danger::ClientCertVerifier;
use tokio::sync::watch;

use crate::config::{ClientCertificates, Config, Server};
use crate::crypto::certificate;
use crate::crypto::tls::{self, Certificates, Survey};
use crate::domain::doors::Door;
use crate::domain::fault::Fault;
use crate::flows::World;
use crate::proxy::{Bound, Front, FrontTerms, Redirect, TrustedProxies};

use super::monitor::Monitor;
use super::office::world;
use super::tasks::{self, Tasks};

/// On what terms connections are taken. Reads the certificates and begins to follow them.
///
/// # Errors
/// When one of the certificates cannot be read, or does not belong to its key.
pub fn terms(config: &Config, tasks: &Tasks, monitor: &Monitor, world: World) -> Result<FrontTerms, Fault> {
    let server = &config.server;
    let certificates = Arc::new(Certificates::open(server.certificates())?);
    for warning in survey(config).warnings {
        tracing::warn!("{warning}");
    }
    let clients = clients(server)?;
    let expiry = monitor.metrics.machine.certificate_expiry.clone();
    tasks::follow_certificates(tasks, Arc::clone(&certificates), expiry, world);
    Ok(FrontTerms {
        tls: tls::terms(certificates, server.tls_min, clients),
        subject: certificate::subject,
        announcing: TrustedProxies::new(server.proxy_protocol.clone()),
        header_timeout: server.header_timeout,
        idle_timeout: server.idle_timeout,
        max_streams: u32::try_from(server.max_streams_per_connection).unwrap_or(u32::MAX),
        threads: std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get),
    })
}

/// Who verifies certificates of clients, where they are asked for.
///
/// # Errors
/// When the file with their authorities cannot be used.
pub fn clients(server: &Server) -> Result<Option<Arc<dyn ClientCertVerifier>>, Fault> {
    match (server.client_certificates, &server.client_ca_file) {
        (ClientCertificates::Off, _) | (_, None) => Ok(None),
        (asked, Some(authorities)) => {
            tls::client_verifier(authorities, asked == ClientCertificates::Required).map(Some)
        }
    }
}

/// How people are sent from plain HTTP to the doors.
pub struct RedirectTerms {
    challenges: Option<PathBuf>,
    announcing: TrustedProxies,
    patience: Duration,
}

impl RedirectTerms {
    /// As the configuration has it.
    pub fn of(config: &Config) -> Self {
        Self {
            challenges: config.server.acme_directory.clone(),
            announcing: TrustedProxies::new(config.server.proxy_protocol.clone()),
            patience: config.server.header_timeout,
        }
    }

    /// Serves on these sockets until `stop` turns true. The doors are those in force when somebody comes.
    pub fn serve(self, front: &Front, listeners: Vec<Bound>, stop: &watch::Receiver<bool>) {
        let charter = front.charter();
        let door = move |host: &str| {
            let charter = charter.load();
            let mut doors = charter
                .sites
                .iter()
                .flat_map(|site| [&site.place.doors.in_office, &site.place.doors.out_of_office]);
            doors.find(|door| door.host().eq_ignore_ascii_case(host)).cloned()
        };
        let redirect = Arc::new(Redirect::new(
            Box::new(door),
            self.challenges,
            self.announcing,
            front.orders(),
            front.connections(),
            self.patience,
        ));
        for listener in listeners {
            tokio::spawn(Arc::clone(&redirect).serve(listener, front.roll().enter(), stop.clone()));
        }
    }
}

/// Whether the certificates can serve the doors.
pub fn survey(config: &Config) -> Survey {
    let sites = config.all_sites();
    let doors = sites
        .iter()
        .flat_map(|site| [&site.doors.in_office, &site.doors.out_of_office]);
    let hosts: Vec<&str> = doors.map(Door::host).collect();
    tls::survey(&config.server.certificates(), &hosts, world().now())
}
