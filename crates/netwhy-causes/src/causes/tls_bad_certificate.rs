//! # A certificate is damaged
//!
//! ## What you see
//! The TCP connection stands; the client then refuses the certificate and the request never starts.
//!
//! ## What happens
//! A certificate of the chain does not parse, or its signature is not its issuer's.
//!
//! ## How netwhy knows
//! The received bytes were decoded; the position and the reason are named.
//!
//! ## Look-alikes
//! tls-unknown-issuer: the certificate itself is sound.
//!
//! ## What to do
//! Reinstall the certificate on the server.
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
    id: "tls-bad-certificate",
    title: "a certificate of the peer is damaged",
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
        CertProblem::BadSignature { subject } => Some((
            Some(subject.clone()),
            format!("the signature of certificate {subject} of {} is not its issuer's", h.peer),
            "reinstall the certificate and its chain on the server".to_string(),
        )),
        CertProblem::Unparsable { position, why } => Some((
            None,
            format!("certificate {} sent by {} does not parse: {why}", position + 1, h.peer),
            "reinstall the certificate on the server".to_string(),
        )),
        _ => None,
    })
}
