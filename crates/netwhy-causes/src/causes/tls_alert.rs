//! # The server ends the handshake with an alert
//!
//! ## What you see
//! The client reports an alert: handshake failure, unrecognized name, protocol version, internal error ...
//!
//! ## What happens
//! The server refuses what the client offered: the name (SNI), the versions, the ciphers, or it cannot serve.
//!
//! ## How netwhy knows
//! The alert was received in this handshake, by number.
//!
//! ## Look-alikes
//! tls-client-certificate; tls-no-common-version when a retry shows what the server speaks.
//!
//! ## What to do
//! Read the alert's name; look at the server's log for this moment.
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
    id: "tls-alert",
    title: "the server ends the handshake with an alert",
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
    let TlsOutcome::Alert { code, name } = &h.outcome else { return Verdict::Silent };
    let wants_certificate =
        *code == 116 || (h.client_cert_requested && matches!(code, 40 | 42 | 46 | 48 | 49));
    if wants_certificate {
        return Verdict::Silent; // tls-client-certificate says it better.
    }
    tls::blame_endpoint(
        case,
        h,
        name,
        format!("{} ends the handshake with alert {code} ({name})", h.peer),
        "look at the server's log; the alert names what it did not like",
    )
}
