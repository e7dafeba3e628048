//! # Client and server share no TLS version or cipher
//!
//! ## What you see
//! "protocol version" or "no shared cipher": the handshake fails at once.
//!
//! ## What happens
//! The server speaks only versions or ciphers that this client does not, such as TLS 1.0, or the other way round.
//!
//! ## How netwhy knows
//! The server refused our offer, and hellos of other versions show what it accepts.
//!
//! ## Look-alikes
//! tls-alert: the reason is unknown.
//!
//! ## What to do
//! Enable TLS 1.2 or 1.3 on the server.
//!
//! ## References
//! RFC 8996 (TLS 1.0 and 1.1 deprecated).

use netwhy_facts::Role;
use netwhy_facts::question::Scenario;
use netwhy_facts::tls::TlsOutcome;

use crate::case::Case;
use crate::cause::{Cause, Layer, Scope, Verdict};
use crate::tls;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "tls-no-common-version",
    title: "client and server share no TLS version or cipher",
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
    let TlsOutcome::NoCommon { what, server_speaks } = &h.outcome else { return Verdict::Silent };
    tls::blame_endpoint(
        case,
        h,
        what,
        format!(
            "{} and this client share no TLS {what}; the server speaks {}",
            h.peer,
            if server_speaks.is_empty() { "none we know".to_string() } else { server_speaks.join(", ") }
        ),
        "enable TLS 1.2 or 1.3 with current ciphers on the server",
    )
}
