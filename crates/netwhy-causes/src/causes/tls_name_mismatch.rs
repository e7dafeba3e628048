//! # The certificate is for another name
//!
//! ## What you see
//! The TCP connection stands; the client then refuses the certificate and the request never starts. Messages say
//! "hostname mismatch" or "certificate is not valid for".
//!
//! ## What happens
//! None of the names in the certificate is the one that was asked for: the wrong virtual host answers, the name is
//! an alias, or the client uses the address.
//!
//! ## How netwhy knows
//! The names of the received certificate are listed; the wanted one is not among them.
//!
//! ## Look-alikes
//! tls-unknown-issuer.
//!
//! ## What to do
//! Ask for a name the certificate has, or issue one with the wanted name.
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
    id: "tls-name-mismatch",
    title: "the certificate is for another name",
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
        CertProblem::NameMismatch { wanted, names } => Some((
            None,
            format!("the certificate of {} is for {}, not for {wanted}", h.peer, names.join(", ")),
            format!("ask for one of {}, or issue a certificate that names {wanted}", names.join(", ")),
        )),
        _ => None,
    })
}
