//! # The answer is broken TLS
//!
//! ## What you see
//! The client reports a decode error or an unexpected message.
//!
//! ## What happens
//! The peer sends TLS records whose content does not follow the protocol: a broken implementation, a proxy that
//! echoes or mangles, or a service that returns what it is sent.
//!
//! ## How netwhy knows
//! The records of this handshake were decoded; the report says where they depart.
//!
//! ## Look-alikes
//! tls-plaintext: no TLS record at all.
//!
//! ## What to do
//! See what really serves the port.
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
    id: "tls-garbage",
    title: "the peer sends what is no proper TLS answer",
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
    let TlsOutcome::Garbage { why } = &h.outcome else { return Verdict::Silent };
    tls::blame_endpoint(
        case,
        h,
        why,
        format!("{} sends what is no proper TLS answer: {why}", h.peer),
        "see what really serves the port; it does not speak TLS as a server",
    )
}
