//! The assertion: the claims the upstream may rely on, built from a permit and from nothing else.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::certificate::{ClientCertificate, Confirmation};
use super::party::Party;
use super::policy::Permit;
use super::principal::Principal;
use super::service::Service;
use super::session::later;

/// The claims of the signed statement to the upstream (RFC 7519).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assertion {
    /// Who signed: the gateway's issuer name.
    pub iss: String,
    /// The upstream it is meant for.
    pub aud: String,
    /// The stable account id of a person; of a program `svc:` and the id of its token.
    pub sub: String,
    /// The session, of a person.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sid: Option<String>,
    /// The id of the token (RFC 8693 section 4.3), of a program.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client_id: Option<String>,
    /// Unique for each signature.
    pub jti: String,
    /// Signed at, in seconds.
    pub iat: i64,
    /// Not valid before, in seconds.
    pub nbf: i64,
    /// Not valid from then on, in seconds.
    pub exp: i64,
    /// When the person last gave the password in this session, in seconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub auth_time: Option<i64>,
    /// How: `pwd` (RFC 8176) for a person, `token` for a program.
    pub amr: Vec<String>,
    /// The extension number, of a person.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ext: Option<String>,
    /// The name of the person or of the token.
    pub name: String,
    /// The e-mail address, when there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub email: Option<String>,
    /// The groups of the person or of the token.
    pub groups: Vec<String>,
    /// The certificate of the client, when it proved to hold one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cnf: Option<Confirmation>,
    /// The subject of that certificate.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cert_subject: Option<String>,
}

/// What every assertion of this gateway has in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssertionTerms {
    /// The issuer name.
    pub issuer: String,
    /// The audience: one name for each upstream.
    pub audience: String,
    /// How long each assertion is valid.
    pub life: Duration,
}

impl Assertion {
    /// The longest life an assertion may be given.
    pub const MAX_LIFE: Duration = Duration::from_mins(5);

    /// The statement about who holds this permit; `None` for a permit that names nobody.
    pub fn for_permit(
        permit: &Permit,
        terms: &AssertionTerms,
        certificate: Option<&ClientCertificate>,
        jti: String,
        now: Timestamp,
    ) -> Option<Self> {
        let who = match permit.party() {
            Party::Nobody => return None,
            Party::Person(principal) => Who::person(principal),
            Party::Service(service) => Who::service(service),
        };
        Some(Self {
            iss: terms.issuer.clone(),
            aud: terms.audience.clone(),
            sub: who.sub,
            sid: who.sid,
            client_id: who.client_id,
            jti,
            iat: now.as_second(),
            nbf: now.as_second(),
            exp: later(now, terms.life.min(Self::MAX_LIFE)).as_second(),
            auth_time: who.auth_time,
            amr: vec![who.amr.to_owned()],
            ext: who.ext,
            name: who.name.to_owned(),
            email: who.email,
            groups: who.groups.to_vec(),
            cnf: certificate.map(ClientCertificate::confirmation),
            cert_subject: certificate.and_then(|certificate| certificate.subject.clone()),
        })
    }
}

/// The claims in which persons and programs differ.
struct Who<'a> {
    sub: String,
    sid: Option<String>,
    client_id: Option<String>,
    auth_time: Option<i64>,
    amr: &'static str,
    ext: Option<String>,
    name: &'a str,
    email: Option<String>,
    groups: &'a [String],
}

impl<'a> Who<'a> {
    fn person(principal: &'a Principal) -> Self {
        let (session, account) = (&principal.session, &principal.account);
        Self {
            sub: account.id.to_string(),
            sid: Some(session.id.to_string()),
            client_id: None,
            auth_time: Some(session.authenticated_at.as_second()),
            amr: "pwd",
            ext: Some(account.extension.as_str().to_owned()),
            name: &account.name,
            email: account.email.as_ref().map(|email| email.as_typed().to_owned()),
            groups: &account.groups,
        }
    }

    /// What belongs to people alone is missing, so that whoever works with an extension number or a session fails closed.
    fn service(service: &'a Service) -> Self {
        let token = &service.token;
        Self {
            sub: token.subject(),
            sid: None,
            client_id: Some(token.id.to_string()),
            auth_time: None,
            amr: "token",
            ext: None,
            name: token.name.as_str(),
            email: None,
            groups: &token.groups,
        }
    }
}
