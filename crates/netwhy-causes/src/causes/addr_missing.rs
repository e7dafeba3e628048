//! # The source address the program binds to is not on this host
//!
//! ## What you see
//! bind() fails with EADDRNOTAVAIL before anything is sent.
//!
//! ## What happens
//! The program asks for a source address that no device of this namespace has: it moved, was never added, or the device
//! that carried it is gone.
//!
//! ## How netwhy knows
//! bind() itself failed with EADDRNOTAVAIL, and the list of addresses does not hold the address.
//!
//! ## Look-alikes
//! No free source port (ephemeral-exhausted): connect() fails, not bind(). An IPv6 address still being checked
//! (dad-failed): the address is there.
//!
//! ## What to do
//! Add the address, correct the program's configuration, or allow foreign addresses (net.ipv4.ip_nonlocal_bind).
//!
//! ## References
//! bind(2) EADDRNOTAVAIL; ip(7) ip_nonlocal_bind.

use netwhy_facts::attempt::Outcome;
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "addr-missing",
    title: "the source address the program binds to is not on this host",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client],
    layer: Layer::Address,
    scope: Scope::FailedFlow,
    needs: &["attempts", "addresses"],
    explains: &[],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let Some(Outcome::Error { call, name, .. }) = case.attempt().map(|a| &a.outcome) else {
        return Verdict::Silent;
    };
    let Some(src) = case.flow.src else { return Verdict::Silent };
    if call != "bind" || name != "EADDRNOTAVAIL" || case.own_addresses().contains(&src) {
        return Verdict::Silent;
    }
    Finding::new(
        Locus::MissingAddress { address: src },
        format!("{src}, which the program wants to send from, is no address of this host"),
    )
    .maybe(case.ev_attempt())
    .evidence(
        Evidence::new("addresses", format!("no device has {src}"), "RTM_GETADDR")
            .command(format!("ip addr show to {src}")),
    )
    .fix(Fix::act(format!("add {src} to the device it belongs on, or correct the program's source address")))
    .verify(format!("ip addr show to {src}"))
    .proven()
}

#[cfg(test)]
mod tests {
    use netwhy_facts::attempt::Phase;

    use super::*;
    use crate::testing::*;

    fn failed(call: &str) -> Scene {
        let outcome = Outcome::Error { call: call.into(), errno: 99, name: "EADDRNOTAVAIL".into() };
        let mut scene = Scene::client("203.0.113.2", 80).attempted(0, Phase::Socket, outcome, vec![]);
        scene.flow.src = Some(ip("192.0.2.9"));
        scene
    }

    #[test]
    fn a_failed_bind_names_the_address() {
        assert!(matches!(proven(failed("bind").judge(&CAUSE)).locus, Locus::MissingAddress { .. }));
    }

    #[test]
    fn a_failed_connect_or_an_address_that_is_here_is_another_cause() {
        silent(failed("connect").judge(&CAUSE));
        let mut here = failed("bind");
        here.flow.src = Some(ip(CLIENT4));
        silent(here.judge(&CAUSE));
    }
}
