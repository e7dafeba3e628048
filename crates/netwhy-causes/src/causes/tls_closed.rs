//! # The peer closes during the handshake
//!
//! ## What you see
//! "connection reset by peer" or "unexpected EOF" right after connecting.
//!
//! ## What happens
//! A proxy or balancer has no backend for the name, a filter resets by SNI, or the service does not expect TLS.
//!
//! ## How netwhy knows
//! The connection ended after our hello and before any alert.
//!
//! ## Look-alikes
//! reset-after-accept: it ends before we send anything.
//!
//! ## What to do
//! Look at the service's or balancer's log for this name.
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
    id: "tls-closed",
    title: "the peer closes the connection during the handshake",
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
    let TlsOutcome::Closed { reset } = &h.outcome else { return Verdict::Silent };
    tls::blame_endpoint(
        case,
        h,
        if *reset { "reset" } else { "closed" },
        format!(
            "{} {} the connection in the middle of the handshake",
            h.peer,
            if *reset { "resets" } else { "closes" }
        ),
        "look at the log of the service or balancer: no backend for this name, or a filter by name",
    )
}
