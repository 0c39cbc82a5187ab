//! nginx, with one worker, as its documentation has it for a proxy.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;

use crate::child::{Cores, Place, Server, free_address, program};
use crate::gateway::Home;

/// What it does with a request before it passes it on.
#[derive(Clone, Copy, Debug)]
pub enum Duty {
    /// Nothing.
    PassOn,
    /// `auth_request`, over a connection to a server that is itself and always says yes: the least that asking can cost.
    AskItself,
}

/// Starts it.
pub fn start(what: &'static str, cores: &Cores, home: &Home, duty: Duty) -> anyhow::Result<Server> {
    let address = free_address()?;
    let here = home.path().join(format!("nginx {duty:?}"));
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

/// Connections are kept as long as those of the other proxies, and logs are off like theirs. Answers that a client does
/// not take at once wait in memory, not in files.
fn settings(home: &Home, address: SocketAddr, duty: Duty) -> anyhow::Result<String> {
    let (certificate, key) = (home.certificates.certificate.display(), home.certificates.key.display());
    let upstream = home.upstream;
    let (asks, answers) = match duty {
        Duty::PassOn => (String::new(), String::new()),
        Duty::AskItself => {
            let judge = free_address()?;
            (
                "auth_request /question;".to_owned(),
                format!(
                    "
    upstream judge {{
        server {judge};
        keepalive 512;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {judge};
        keepalive_requests 1000000000;
        location / {{ return 200; }}
    }}"
                ),
            )
        }
    };
    Ok(format!(
        r#"
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr crit;
events {{ worker_connections 50000; }}
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
    upstream web_client {{
        server {upstream};
        keepalive 512;
        keepalive_requests 1000000000;
    }}{answers}
    server {{
        listen {address} ssl http2;
        ssl_certificate "{certificate}";
        ssl_certificate_key "{key}";
        ssl_protocols TLSv1.2 TLSv1.3;
        keepalive_requests 1000000000;
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header Connection "";
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
        }}
        location = /question {{
            internal;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_set_header Connection "";
            proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
            proxy_pass http://{judge};
        }}
    }}
}}
"#,
        judge = match duty {
            Duty::PassOn => "web_client",
            Duty::AskItself => "judge",
        }
    ))
}
