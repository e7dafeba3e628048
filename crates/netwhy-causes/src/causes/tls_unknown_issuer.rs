//! # The certificate has an unknown issuer
//!
//! ## What you see
//! The TCP connection stands; the client then refuses the certificate and the request never starts. Messages say
//! "unable to get local issuer certificate" or "unknown CA".
//!
//! ## What happens
//! The chain ends at an authority that is not among this host's trusted roots: a private one, or an interception
//! box.
//!
//! ## How netwhy knows
//! The chain was received and checked against the roots named in the answer; its last issuer is not among them.
//!
//! ## Look-alikes
//! tls-missing-intermediate: the root is trusted and a certificate between is not sent. tls-self-signed.
//!
//! ## What to do
//! Add the authority to this host's trust store if it is the right one.
//!
//! ## References
//! RFC 5280 section 6 (path validation), RFC 9525 (names), RFC 8446. update-ca-certificates(8).

use netwhy_facts::Role;
use netwhy_facts::question::Scenario;
use netwhy_facts::tls::CertProblem;

use crate::case::Case;
use crate::cause::{Cause, Layer, Scope, Verdict};
use crate::tls;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "tls-unknown-issuer",
    title: "nobody this host trusts has issued the certificate",
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
        CertProblem::UnknownIssuer { issuer } => Some((
            None,
            format!("the certificate of {} is issued by {issuer}, which this host does not trust", h.peer),
            format!("if {issuer} is right, add it to this host's trusted authorities"),
        )),
        _ => None,
    })
}
