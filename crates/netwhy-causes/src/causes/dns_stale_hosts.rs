//! # A line of the hosts file shadows the name server
//!
//! ## What you see
//! The service works for others by name and for this host by address; here the name leads to another address, which
//! fails.
//!
//! ## What happens
//! The hosts file is asked before the name servers and holds an old address for the name.
//!
//! ## How netwhy knows
//! The application's address comes from the hosts file, the name servers give a different one, and the attempt to
//! the hosts file's address failed.
//!
//! ## Look-alikes
//! dns-wrong-answer: the address comes from a server. A dead service: the servers give the same address.
//!
//! ## What to do
//! Correct or remove the line.
//!
//! ## References
//! hosts(5), nsswitch.conf(5).

use netwhy_facts::names::NameOutcome;
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Role};

use crate::case::{Case, Fate};
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::{Fix, quote};
use crate::naming::Naming;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "dns-stale-hosts",
    title: "a line of the hosts file overrides the name server and its address does not answer",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client],
    layer: Layer::Name,
    scope: Scope::FailedFlow,
    needs: &["name-answers", "resolver", "attempts"],
    explains: &["path-or-remote-drop", "neigh-unresolved", "svc-not-listening", "route-missing"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let Some(names) = Naming::of(case) else { return Verdict::Silent };
    if case.fate() != Fate::Fails {
        return Verdict::Silent;
    }
    let app = &names.answers.application.addresses;
    let from_file = app.iter().any(|(addr, source)| *addr == case.flow.dst && source == "files");
    let Some(line) = names.resolver.hosts.iter().find(|h| from_file && h.addr == case.flow.dst) else {
        return Verdict::Silent;
    };
    let mut told: Vec<std::net::IpAddr> = names
        .answers
        .queries
        .iter()
        .filter_map(|q| match &q.outcome {
            NameOutcome::Reply { addresses, .. } => Some(addresses),
            _ => None,
        })
        .flatten()
        .copied()
        .filter(|a| a.is_ipv4() == line.addr.is_ipv4())
        .collect();
    told.sort_unstable();
    told.dedup();
    if told.is_empty() || told.contains(&line.addr) {
        return Verdict::Silent;
    }
    let file = &names.resolver.hosts_file;
    let told = told.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Finding::new(
        Locus::HostsEntry {
            file: file.clone(),
            line: line.line,
            name: line.name.clone(),
            address: line.addr,
        },
        format!(
            "line {} of {file} sends {} to {}, which fails; the name servers say {told}",
            line.line, line.name, line.addr
        ),
    )
    .maybe(case.ev_attempt())
    .evidence(
        Evidence::new(
            "hosts-line",
            format!("line {} of {file} gives {} for {}", line.line, line.addr, line.name),
            file.clone(),
        )
        .value(line.addr.to_string())
        .command(format!("grep -n {} {}", quote(&line.name), quote(file))),
    )
    .evidence(
        Evidence::new("dns-answer", format!("the name servers give {told}"), "query to each server")
            .value(told.clone())
            .command(format!("dig +short {}", quote(&line.name))),
    )
    .fix(Fix::act(format!(
        "take line {} out of {file}, or correct its address; the name servers then decide",
        line.line
    )))
    .verify(format!("getent ahosts {}", quote(&line.name)))
    .proven()
}
