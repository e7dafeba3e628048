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
//! reset-after-accept: it ends before a hello was sent, so that nothing in one (name, version, certificate) can be the
//! reason; that is what is named then, also when a TLS question was asked.
//!
//! ## What to do
//! Look at the service's or balancer's log for this name.
//!
//! ## References
//! RFC 8446 sections 4.1, 6; openssl-s_client(1).

use netwhy_facts::Role;
use netwhy_facts::attempt::Outcome;
use netwhy_facts::question::{App, Scenario};
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
    let Some(h) = tls::handshake(case) else { return before_the_hello(case) };
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

/// A peer that ends the connection before it has heard anything does not do so for what a hello says.
fn before_the_hello(case: &Case<'_>) -> Verdict {
    let asked = matches!(case.question.target.app, App::Tls | App::Https);
    match case.attempt().map(|a| &a.outcome) {
        Some(Outcome::ClosedEarly { bytes: 0, .. }) if asked => Verdict::ruled_out(
            "the connection ended before a TLS hello was sent, so nothing in it can be the reason",
            case.ev_attempt().into_iter().collect(),
        ),
        _ => Verdict::Silent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    #[test]
    fn an_end_before_the_hello_is_another_matter() {
        let mut scene = Scene::client("203.0.113.2", 443).closed_early(false, 300);
        scene.question.target.app = App::Tls;
        assert!(ruled_out(scene.judge(&CAUSE)).contains("before a TLS hello"));
        silent(Scene::client("203.0.113.2", 443).closed_early(false, 300).judge(&CAUSE));
    }
}
