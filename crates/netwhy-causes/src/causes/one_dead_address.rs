//! # One of several addresses does not answer
//!
//! ## What you see
//! Some attempts work and some fail, or every attempt starts late: it depends on which address is tried first.
//!
//! ## What happens
//! The name has several addresses, and one of them leads to a host that is gone or does not serve.
//!
//! ## How netwhy knows
//! Each address was tried by itself in the same window: some worked, this one did not, and nothing on this host
//! stops it.
//!
//! ## Look-alikes
//! A fault of this host that hits one address only (a route, a rule): that fault is named instead. A broken family
//! (ipv6-broken).
//!
//! ## What to do
//! Take the address out of the name's records, or repair the host behind it.
//!
//! ## References
//! RFC 8305 (happy eyeballs), RFC 6724.

use netwhy_facts::attempt::{Attempts, Outcome};
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Role};

use crate::case::{Case, Fate};
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::{Fix, quote};
use crate::naming::Naming;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "one-dead-address",
    title: "one of the addresses of the name does not answer",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client],
    layer: Layer::Name,
    scope: Scope::FailedFlow,
    needs: &["name-answers", "resolver", "attempts", "addresses"],
    explains: &["path-or-remote-drop", "svc-not-listening"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let Some(names) = Naming::of(case) else { return Verdict::Silent };
    let attempts = match case.facts.latest::<Attempts>().value() {
        Some(attempts) if case.fate() == Fate::Fails && case.forward_passes() => attempts,
        _ => return Verdict::Silent,
    };
    let works: Vec<String> = case
        .question
        .flows
        .iter()
        .filter(|f| f.dst.is_ipv4() == case.flow.dst.is_ipv4())
        .filter(|f| attempts.of(f).is_some_and(|a| a.outcome == Outcome::Ok))
        .map(|f| f.dst.to_string())
        .collect();
    if works.is_empty() {
        return Verdict::Silent;
    }
    let name = &names.answers.name;
    let flow = case.flow;
    Finding::new(
        Locus::RemoteEndpoint { address: flow.dst, port: flow.dport, proto: flow.proto },
        format!(
            "{} is one of the addresses of {name} and does not answer; {} does",
            flow.dst,
            works.join(", ")
        ),
    )
    .maybe(case.ev_attempt())
    .evidence(
        Evidence::new(
            "other-addresses",
            format!("{} answered in the same window", works.join(", ")),
            "connect(2)",
        )
        .value(works.join(", "))
        .command(format!("getent ahosts {}", quote(name))),
    )
    .evidence(names.ev_application())
    .fix(Fix::act(format!("take {} out of the records of {name}, or repair the host behind it", flow.dst)))
    .verify(case.ask_again())
    .outside()
    .proven()
}
