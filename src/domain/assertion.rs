//! The assertion: the claims the upstream may rely on, built from a permit and from nothing else.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::certificate::{ClientCertificate, Confirmation};
use super::policy::Permit;
use super::session::later;

/// The claims of the signed statement to the upstream (RFC 7519).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assertion {
    /// Who signed: the gateway's issuer name.
    pub iss: String,
    /// The upstream it is meant for.
    pub aud: String,
    /// The stable account id.
    pub sub: String,
    /// The session.
    pub sid: String,
    /// Unique for each signature.
    pub jti: String,
    /// Signed at, in seconds.
    pub iat: i64,
    /// Not valid before, in seconds.
    pub nbf: i64,
    /// Not valid from then on, in seconds.
    pub exp: i64,
    /// When the person last gave the password in this session, in seconds.
    pub auth_time: i64,
    /// How (RFC 8176): `pwd`.
    pub amr: Vec<String>,
    /// The extension number.
    pub ext: String,
    /// The person's name.
    pub name: String,
    /// The e-mail address, when there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub email: Option<String>,
    /// The person's groups.
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
        let principal = permit.principal()?;
        let (session, account) = (&principal.session, &principal.account);
        Some(Self {
            iss: terms.issuer.clone(),
            aud: terms.audience.clone(),
            sub: account.id.to_string(),
            sid: session.id.to_string(),
            jti,
            iat: now.as_second(),
            nbf: now.as_second(),
            exp: later(now, terms.life.min(Self::MAX_LIFE)).as_second(),
            auth_time: session.authenticated_at.as_second(),
            amr: vec!["pwd".to_owned()],
            ext: account.extension.as_str().to_owned(),
            name: account.name.clone(),
            email: account.email.as_ref().map(|email| email.as_typed().to_owned()),
            groups: account.groups.clone(),
            cnf: certificate.map(ClientCertificate::confirmation),
            cert_subject: certificate.and_then(|certificate| certificate.subject.clone()),
        })
    }
}
