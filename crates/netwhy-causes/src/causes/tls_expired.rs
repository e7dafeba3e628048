//! # The certificate has expired
//!
//! ## What you see
//! The TCP connection stands; the client then refuses the certificate and the request never starts. Messages say
//! "certificate has expired".
//!
//! ## What happens
//! The clock of this host is past the end of the certificate's validity (the leaf's or an intermediate's).
//!
//! ## How netwhy knows
//! The certificate was received in this handshake and its notAfter lies before this host's time.
//!
//! ## Look-alikes
//! A wrong clock on this host: then many peers' certificates are out of their time.
//!
//! ## What to do
//! Renew the certificate and reload the service.
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
    id: "tls-expired",
    title: "the certificate has expired",
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
        CertProblem::Expired { subject, not_after_s } => Some((
            Some(subject.clone()),
            format!("the certificate {subject} of {} expired on {}", h.peer, tls::date(*not_after_s)),
            "renew the certificate and reload the service; check this host's clock: date -u".to_string(),
        )),
        _ => None,
    })
}
