//! Whether the certificates and keys that the configuration names can be used as the start uses them, for `config check`
//! and before a reload. That they can be read, and are in PEM form, has been seen by then.

use crate::config::Config;
use crate::domain::fault::Fault;
use crate::mail;

use super::doors;
use super::pool::pool_terms;

/// Which of them would stop the start, and why, a line each. The certificates of the doors have a look of their own,
/// [`survey`](doors::survey).
pub fn check_trust(config: &Config) -> Vec<String> {
    let line = |key: &str, fault: Fault| format!("{key}: {}", fault.chain());
    let mut wrong = Vec::new();
    for site in config.all_sites() {
        let faults = pool_terms(&site.upstream).check_files();
        wrong.extend(faults.into_iter().map(|fault| line(&site.key("upstream"), fault)));
    }
    let clients = doors::clients(&config.server).err();
    wrong.extend(clients.map(|fault| line("server.client_ca_file", fault)));
    let mail = mail::check_access(&config.mail).err();
    wrong.extend(mail.map(|fault| line("mail", fault)));
    wrong
}
