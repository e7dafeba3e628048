//! # The server wants a client certificate
//!
//! ## What you see
//! The handshake ends with alert "certificate required" or "handshake failure"; with TLS 1.3 the first read fails.
//!
//! ## What happens
//! The server is set up for mutual TLS and this client presents no certificate it accepts.
//!
//! ## How netwhy knows
//! The server asked for a certificate in this handshake and ended it with that alert.
//!
//! ## Look-alikes
//! tls-alert: an alert without the request.
//!
//! ## What to do
//! Present the right client certificate and key.
//!
//! ## References
//! RFC 8446 sections 4.1, 6; openssl-s_client(1).

use netwhy_facts::Role;
use netwhy_facts::question::Scenario;
use netwhy_facts::tls::TlsOutcome;

use crate::case::Case;
use crate::cause::{Cause, Layer, Scope, Verdict};
use crate::tls;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "tls-client-certificate",
    title: "the server requires a client certificate",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client],
    layer: Layer::Tls,
    scope: Scope::EveryFlow,
    needs: &["tls-handshakes", "attempts"],
    explains: &[],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let Some(h) = tls::handshake(case) else { return Verdict::Silent };
    let TlsOutcome::Alert { code, .. } = &h.outcome else { return Verdict::Silent };
    // 116 says it by name; older versions end with bad_certificate, unknown_ca, access_denied or handshake_failure.
    if *code != 116 && !(h.client_cert_requested && matches!(code, 40 | 42 | 46 | 48 | 49)) {
        return Verdict::Silent;
    }
    tls::blame_endpoint(
        case,
        h,
        "client certificate required",
        format!("{} requires a client certificate", h.peer),
        "present the client certificate and key the service expects",
    )
}
