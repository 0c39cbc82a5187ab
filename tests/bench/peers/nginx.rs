//! nginx, with one worker, as its documentation has it for a proxy.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;

use crate::child::{Cores, Place, Server, free_address, program};
use crate::gateway::{DOOR, Home, PROXY};

/// What it does with a request before it passes it on.
#[derive(Clone, Copy, Debug)]
pub enum Duty {
    /// Nothing.
    PassOn,
    /// Nothing, with room for so many connections, its own to the web client among them.
    Hold(u64),
    /// `auth_request`, over a connection to a server that is itself and always says yes: the least that asking can cost.
    AskItself,
    /// `auth_request` to the gateway, as `docs/forward-auth` has it.
    AskGateway(SocketAddr),
}

impl Duty {
    const fn name(self) -> &'static str {
        match self {
            Self::PassOn => "nginx-passes-on",
            Self::Hold(_) => "nginx-holds",
            Self::AskItself => "nginx-asks-itself",
            Self::AskGateway(_) => "nginx-asks-the-gateway",
        }
    }
}

/// Starts it.
pub fn start(what: &'static str, cores: &Cores, home: &Home, duty: Duty) -> anyhow::Result<Server> {
    let address = free_address()?;
    let here = home.path().join(duty.name());
    fs::create_dir(&here)?;
    // Its worker runs as another user when it is started as root.
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755))?;
    fs::set_permissions(&here, fs::Permissions::from_mode(0o777))?;
    let file = here.join("nginx.conf");
    fs::write(&file, settings(home, address, duty)?)?;
    let mut command = cores.command(program("nginx"), Place::Proxies);
    command.arg("-p").arg(&here).arg("-c").arg(&file).args(["-e", "stderr"]);
    Server::start_at(address, what, command, here.join("log"))
}

/// The pieces of a configuration that differ by duty.
#[derive(Default)]
struct Pieces {
    /// Beside the server.
    beside: String,
    /// Where requests are passed on.
    asks: &'static str,
    /// Beside that.
    question: String,
}

const KEPT: &str = "keepalive 512; keepalive_requests 1000000000;";

fn pieces(home: &Home, duty: Duty) -> anyhow::Result<Pieces> {
    Ok(match duty {
        Duty::PassOn | Duty::Hold(_) => Pieces::default(),
        Duty::AskItself => {
            let judge = free_address()?;
            Pieces {
                beside: format!(
                    "
    upstream judge {{ server {judge}; {KEPT} }}
    server {{
        listen {judge};
        keepalive_requests 1000000000;
        location / {{ return 200; }}
    }}"
                ),
                asks: "auth_request /question;",
                question: question("proxy_pass http://judge;"),
            }
        }
        Duty::AskGateway(judge) => Pieces {
            beside: format!("\n    upstream judge {{ server {judge}; {KEPT} }}"),
            asks: "auth_request /question;
            auth_request_set $assertion $upstream_http_x_sekisho_assertion;
            auth_request_set $cookies $upstream_http_cookie;
            proxy_set_header X-Sekisho-Assertion $assertion;
            proxy_set_header Cookie $cookies;",
            question: question(&format!(
                "proxy_bind {PROXY};
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Original-Method $request_method;
            proxy_set_header X-Forwarded-Method \"\";
            proxy_set_header X-Forwarded-Proto \"\";
            proxy_set_header X-Forwarded-Host \"\";
            proxy_set_header X-Forwarded-Uri \"\";
            proxy_ssl_verify on;
            proxy_ssl_trusted_certificate \"{}\";
            proxy_ssl_server_name on;
            proxy_ssl_name {DOOR};
            proxy_pass https://judge/.sekisho/auth/nginx;",
                home.certificates.authority.display()
            )),
        },
    })
}

/// Where the server asks about a request.
fn question(whom: &str) -> String {
    format!(
        "
        location = /question {{
            internal;
            proxy_pass_request_body off;
            proxy_set_header Content-Length \"\";
            proxy_set_header Connection \"\";
            proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
            {whom}
        }}"
    )
}

/// Connections are kept as long as those of the other proxies, and logs are off like theirs. Answers that a client does
/// not take at once wait in memory, not in files.
fn settings(home: &Home, address: SocketAddr, duty: Duty) -> anyhow::Result<String> {
    let (certificate, key) = (home.certificates.certificate.display(), home.certificates.key.display());
    let upstream = home.upstream;
    // Room is taken from memory at the start, whether or not it is used.
    let room = match duty {
        // When less than a sixteenth is free, it closes connections that are still shaking hands.
        Duty::Hold(connections) => connections + connections / 8,
        _ => 1024,
    };
    let Pieces { beside, asks, question } = pieces(home, duty)?;
    Ok(format!(
        r#"
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr crit;
events {{ worker_connections {room}; }}
http {{
    access_log off;
    client_body_temp_path client_body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    proxy_max_temp_file_size 0;
    map $http_upgrade $connection_upgrade {{
        default upgrade;
        ""      "";
    }}
    upstream web_client {{ server {upstream}; {KEPT} }}{beside}
    server {{
        listen {address} ssl http2;
        ssl_certificate "{certificate}";
        ssl_certificate_key "{key}";
        ssl_protocols TLSv1.2 TLSv1.3;
        keepalive_requests 1000000000;
        proxy_http_version 1.1;
        location / {{
            {asks}
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_read_timeout 1h;
            proxy_pass http://web_client;
        }}{question}
    }}
}}
"#
    ))
}
