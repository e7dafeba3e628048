//! # The certificate is not valid yet
//!
//! ## What you see
//! The TCP connection stands; the client then refuses the certificate and the request never starts. Messages say
//! "certificate is not yet valid".
//!
//! ## What happens
//! The clock of this host is before the start of the certificate's validity: the certificate is too new, or the
//! clock is slow.
//!
//! ## How netwhy knows
//! The certificate was received in this handshake and its notBefore lies after this host's time.
//!
//! ## Look-alikes
//! tls-expired.
//!
//! ## What to do
//! Compare this host's clock with others first (chronyc tracking, timedatectl), then look at the certificate.
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
    id: "tls-not-yet-valid",
    title: "the certificate is not valid yet, or this clock is slow",
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
        CertProblem::NotYetValid { subject, not_before_s } => Some((
            Some(subject.clone()),
            format!(
                "the certificate {subject} of {} is valid only from {}",
                h.peer,
                tls::date(*not_before_s)
            ),
            "check this host's clock first: timedatectl; then the certificate".to_string(),
        )),
        _ => None,
    })
}
