//! # The service does not speak TLS
//!
//! ## What you see
//! "wrong version number", "packet length too long" or "record overflow": the first bytes are no TLS record.
//!
//! ## What happens
//! The port serves a plaintext protocol (or one that starts TLS later, such as SMTP).
//!
//! ## How netwhy knows
//! The first bytes of the answer to our hello are not a TLS record; what they look like is shown.
//!
//! ## Look-alikes
//! tls-alert: a TLS record arrives.
//!
//! ## What to do
//! Use the service's TLS port, or plain text on this one, or STARTTLS.
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
    id: "tls-plaintext",
    title: "the service on this port does not speak TLS",
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
    let TlsOutcome::NotTls { looks_like, .. } = &h.outcome else { return Verdict::Silent };
    tls::blame_endpoint(
        case,
        h,
        &format!("looks like {looks_like}"),
        format!("{} does not speak TLS: its answer looks like {looks_like}", h.peer),
        "use the service's TLS port, or speak plain text (or STARTTLS) on this one",
    )
}
