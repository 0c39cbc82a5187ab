//! Caddy with `forward_auth`.

use std::fs;

use crate::child::{Cores, Place, Server, free_address, program};
use crate::gateway::Home;

/// Starts it. It asks a site of its own that always says yes: the least that asking can cost.
pub fn start(cores: &Cores, home: &Home) -> anyhow::Result<Server> {
    let (address, judge) = (free_address()?, free_address()?);
    let here = home.path().join("caddy");
    fs::create_dir(&here)?;
    let (certificate, key) = (home.certificates.certificate.display(), home.certificates.key.display());
    let (port, judge_port, upstream, host) = (address.port(), judge.port(), home.upstream, crate::gateway::DOOR);
    let settings = format!(
        "{{
	admin off
	auto_https off
	default_bind 127.0.0.1
	default_sni {host}
	servers {{
		protocols h1 h2
	}}
	log {{
		output stderr
		level ERROR
	}}
}}
http://:{judge_port} {{
	respond 200
}}
https://{host}:{port}, https://127.0.0.1:{port} {{
	tls \"{certificate}\" \"{key}\"
	forward_auth {judge} {{
		uri /question
	}}
	reverse_proxy {upstream}
}}
"
    );
    let file = here.join("Caddyfile");
    fs::write(&file, settings)?;
    let mut command = cores.command(program("caddy"), Place::Proxies);
    command
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(&file)
        .env("HOME", &here)
        .env("XDG_DATA_HOME", &here)
        .env("XDG_CONFIG_HOME", &here);
    Server::start_at(address, "Caddy", command, here.join("log"))
}
