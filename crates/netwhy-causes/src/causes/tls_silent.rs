//! # The handshake gets no answer
//!
//! ## What you see
//! The client connects and hangs until its timeout.
//!
//! ## What happens
//! The hello or its answer is lost (often: large packets vanish, mtu-blackhole), the process does not read, or the
//! service waits for the client to speak another protocol.
//!
//! ## How netwhy knows
//! The connection stood, the hello was sent, and nothing came back before the deadline.
//!
//! ## Look-alikes
//! mtu-blackhole explains this one when large packets are lost. svc-stopped, svc-stuck on the server.
//!
//! ## What to do
//! Ask on the server with --inbound; search the path MTU.
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
    id: "tls-silent",
    title: "the peer accepts the connection and does not answer the handshake",
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
    let TlsOutcome::Timeout = &h.outcome else { return Verdict::Silent };
    tls::blame_endpoint(
        case,
        h,
        "no answer",
        format!("{} accepts the connection and does not answer the TLS handshake", h.peer),
        "ask on the server: netwhy connect :PORT --inbound",
    )
}
