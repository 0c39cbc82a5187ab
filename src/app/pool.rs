//! From the configuration of an upstream to the terms of its pool.

use crate::config::{Address, Balance, Health, Protocol, Upstream};
use crate::proxy;
use crate::proxy::{ClientFiles, HealthCheck, PoolTerms, ServerAddress, Tolerance};

/// What the operator wrote, as the proxy wants it.
pub fn pool_terms(upstream: &Upstream) -> PoolTerms {
    let client = upstream.client_certificate.clone().zip(upstream.client_key.clone());
    PoolTerms {
        servers: upstream.servers.iter().map(server).collect(),
        balance: match upstream.balance {
            Balance::RoundRobin => proxy::Balance::RoundRobin,
            Balance::LeastConnections => proxy::Balance::LeastConnections,
        },
        protocol: match upstream.protocol {
            Protocol::Http1 => proxy::Protocol::Http1,
            Protocol::Http2 => proxy::Protocol::Http2,
        },
        server_name: upstream.server_name.clone(),
        ca_file: upstream.ca_file.clone(),
        client: client.map(|(certificate, key)| ClientFiles { certificate, key }),
        preserve_host: upstream.preserve_host,
        connect_timeout: upstream.connect_timeout,
        response_timeout: upstream.response_timeout,
        idle_timeout: (!upstream.idle_timeout.is_zero()).then_some(upstream.idle_timeout),
        check: check(&upstream.health),
        tolerance: Tolerance {
            failures: upstream.failures,
            statuses: upstream.failure_statuses.clone(),
            pause: upstream.failure_pause,
        },
    }
}

fn server(address: &Address) -> ServerAddress {
    match address.clone() {
        Address::Host { tls, host, port } => ServerAddress::Host { tls, host, port },
        Address::Socket(path) => ServerAddress::Socket(path),
    }
}

fn check(health: &Health) -> Option<HealthCheck> {
    let path = health.path.clone()?;
    Some(HealthCheck {
        path,
        interval: health.interval,
        timeout: health.timeout,
        rise: health.rise,
        fall: health.fall,
    })
}
