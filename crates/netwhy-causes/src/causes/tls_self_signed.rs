//! # The certificate is self-signed
//!
//! ## What you see
//! The TCP connection stands; the client then refuses the certificate and the request never starts. Messages say
//! "self-signed certificate".
//!
//! ## What happens
//! The certificate is its own issuer and not among this host's trusted roots.
//!
//! ## How netwhy knows
//! Subject and issuer of the received certificate are the same, and it is no trusted root.
//!
//! ## Look-alikes
//! tls-unknown-issuer: somebody else issued it.
//!
//! ## What to do
//! Issue a certificate by a trusted authority, or trust this one on purpose.
//!
//! ## References
//! RFC 5280 section 6 (path validation), RFC 9525 (names), RFC 8446.

use netwhy_facts::Role;
use netwhy_facts::question::Scenario;
use netwhy_facts::tls::CertProblem;

use crate::case::Case;
use crate::cause::{Cause, Layer, Scope, Verdict};
use crate::tls;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "tls-self-signed",
    title: "the certificate is self-signed and not trusted here",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client],
    layer: Layer::Tls,
    scope: Scope::EveryFlow,
    needs: &["tls-handshakes", "attempts"],
    explains: &[],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    tls::blame_certificate(case, |h, problem| match problem {
        CertProblem::SelfSigned { subject } => Some((
            Some(subject.clone()),
            format!("the certificate {subject} of {} is self-signed and not trusted here", h.peer),
            "issue it by an authority this host trusts, or trust this certificate on purpose".to_string(),
        )),
        _ => None,
    })
}
