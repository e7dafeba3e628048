//! # An IPv6 address of this host is not usable: duplicate address detection
//!
//! ## What you see
//! The address is configured and nobody reaches it; binding to it or sending from it fails with EADDRNOTAVAIL.
//!
//! ## What happens
//! Before it uses an IPv6 address the kernel asks the link whether somebody has it. If somebody answers, the address is
//! marked dadfailed and stays unused; while it asks (a second), the address is tentative.
//!
//! ## How netwhy knows
//! The address carries the flag, and it is the target (inbound) or the only address the flow could be sent from.
//!
//! ## Look-alikes
//! IPv6 disabled (ipv6-broken). An address that was never configured (dst-ip-not-here).
//!
//! ## What to do
//! Find the other holder, or take another address; then delete the address and add it again.
//!
//! ## References
//! RFC 4862 section 5.4; ip-address(8) dadfailed, tentative; net/ipv6/addrconf.c (addrconf_dad_failure).

use netwhy_facts::address::{Address, Addresses};
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Role};

use crate::case::{Case, Fate};
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::{Fix, quote};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "dad-failed",
    title: "an IPv6 address of this host is not usable: duplicate address detection",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound],
    layer: Layer::Address,
    scope: Scope::EveryFlow,
    needs: &["addresses", "links", "attempts", "capture"],
    explains: &[
        "ipv6-broken",
        "neigh-unresolved",
        "path-or-remote-drop",
        "path-hop-unreachable",
        "request-not-arriving",
    ],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    if case.flow.dst.is_ipv4() || case.fate() == Fate::Works {
        return Verdict::Silent;
    }
    let all = case.facts.latest::<Addresses>().value().map(|a| a.0.as_slice()).unwrap_or_default();
    let unusable = |a: &&Address| a.is_dadfailed() || (a.is_tentative() && !a.is_optimistic());
    let bad = match case.question.role {
        Role::Inbound => all.iter().find(|a| a.addr == case.flow.dst).filter(unusable),
        _ => {
            let v6 = || all.iter().filter(|a| a.addr.is_ipv6() && a.scope == 0);
            // As long as one global address is left, the kernel sends from that.
            if v6().any(|a| !unusable(&a)) { None } else { v6().find(unusable) }
        }
    };
    let Some(a) = bad else { return Verdict::Silent };
    let dev = case.dev_name(a.ifindex);
    let (what, word) = if a.is_dadfailed() {
        ("another host on the link has it (duplicate address detection failed)", "dadfailed")
    } else {
        ("duplicate address detection has not finished", "tentative")
    };
    let s = &case.seen;
    let observed = match case.question.role {
        Role::Inbound => s.known && s.answers_out + s.resets_out == 0,
        _ => case.fate() == Fate::Fails,
    };
    let mut finding = Finding::new(
        Locus::Address { dev: dev.clone(), address: a.addr, prefix: a.prefix },
        format!("{} on {dev} is not used: {what}", a.addr),
    )
    .evidence(
        Evidence::new("address-flags", format!("{} on {dev} is {word}", a.addr), "RTM_GETADDR")
            .value(word)
            .command(format!("ip -6 addr show dev {}", quote(&dev))),
    )
    .maybe(case.ev_attempt())
    .maybe(case.ev_capture());
    if a.is_dadfailed() {
        finding = finding
            .fix(Fix::act(format!(
                "find the other holder of {} on the link of {dev}, or take another address",
                a.addr
            )))
            .fix(Fix::act(format!(
                "then have it checked again: ip addr del {0}/{1} dev {2} && ip addr add {0}/{1} dev {2}",
                a.addr,
                a.prefix,
                quote(&dev)
            )));
    } else {
        finding = finding
            .fix(Fix::act("wait a second; if it stays tentative, the device does not carry multicast"));
    }
    finding.verify(format!("ip -6 addr show dev {}", quote(&dev))).proven_if(observed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn with_flags(addr: &str, flags: u32) -> Address {
        Address { flags, ..address(2, addr, 64) }
    }

    #[test]
    fn a_failed_target_address_is_proven_when_nothing_answers() {
        let scene = Scene::inbound("2001:db8::2", 80)
            .with(Addresses(vec![with_flags("2001:db8::2", 0x88)]))
            .captured();
        assert!(proven(scene.judge(&CAUSE)).summary.contains("another host"));
    }

    #[test]
    fn a_client_without_any_other_source_is_proven() {
        let scene = Scene::client("2001:db8::2", 80)
            .with(Addresses(vec![with_flags("2001:db8:1::7", 0x40)]))
            .errno("EADDRNOTAVAIL", 0);
        assert!(proven(scene.judge(&CAUSE)).summary.contains("not finished"));
    }

    #[test]
    fn another_usable_address_makes_it_innocent() {
        let scene = Scene::client("2001:db8::2", 80)
            .with(Addresses(vec![with_flags("2001:db8:1::7", 0x88), with_flags("2001:db8:1::8", 0x80)]))
            .timeout(3000);
        silent(scene.judge(&CAUSE));
    }

    #[test]
    fn a_failed_address_that_is_not_the_target_is_innocent() {
        let scene = Scene::inbound("2001:db8::2", 80)
            .with(Addresses(vec![with_flags("2001:db8::2", 0x80), with_flags("2001:db8::3", 0x88)]))
            .captured();
        silent(scene.judge(&CAUSE));
    }
}
