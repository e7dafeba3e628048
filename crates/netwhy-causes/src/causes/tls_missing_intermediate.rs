//! # The server does not send the intermediate certificate
//!
//! ## What you see
//! The TCP connection stands; the client then refuses the certificate and the request never starts. Browsers often
//! work, because they fetch or remember the missing one.
//!
//! ## What happens
//! The server sends only its own certificate; the client cannot connect it with a trusted root.
//!
//! ## How netwhy knows
//! The leaf names an issuer that was not sent and is no trusted root, and the certificate says where its issuer can
//! be fetched.
//!
//! ## Look-alikes
//! tls-unknown-issuer: the issuer is a root of its own.
//!
//! ## What to do
//! Install the full chain on the server.
//!
//! ## References
//! RFC 8446 section 4.4.2 (certificate list), RFC 5280 section 4.2.2.1.

use netwhy_facts::Role;
use netwhy_facts::question::Scenario;
use netwhy_facts::tls::CertProblem;

use crate::case::Case;
use crate::cause::{Cause, Layer, Scope, Verdict};
use crate::tls;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "tls-missing-intermediate",
    title: "the server does not send the intermediate certificate",
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
        CertProblem::MissingIntermediate { issuer } => Some((
            None,
            format!("{} does not send the certificate of {issuer}, which issued its own", h.peer),
            "install the full chain (leaf and intermediates) on the server".to_string(),
        )),
        _ => None,
    })
}
