//! What the target's name resolves to: every configured server by itself, and what an application would get.
//!
//! [`resolve`] tries the candidates (search list, `ndots`) in the stub resolver's order and asks, for each, every
//! server the C library would use (at most three) for A and AAAA at once: over UDP first, repeated after a
//! second, and over TCP where UDP was cut, failed or stayed silent. It goes on to the next candidate only when no
//! server had an address. A plain query carries EDNS only where resolv.conf asks for it, as the victim's would;
//! a server failure is asked about once more with EDNS, for its reason (RFC 8914).
//!
//! [`NameAnswers::application`] is computed from these answers by the C library's rules (glibc's: order of
//! servers, timeouts, `attempts`, `rotate`, `single-request`, `single-request-reopen`, `no-aaaa`, nsswitch actions,
//! address order of RFC 6724 with the tables of gai.conf). Its
//! `elapsed_us` is what a program would have waited, which is often more than it took to ask.
//!
//! A name that a search domain answered for before it was asked itself is asked too, for comparison.
//!
//! Where the hosts file answers first the servers are still asked, for comparison, but only those that reply at
//! once are heard.
//!
//! Not modelled, and said so in `not_modelled`: nsswitch sources other than files, dns and myhostname.

mod message;
mod order;
mod plan;
#[cfg(test)]
mod tests;
mod transport;
mod victim;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use netwhy_facts::Family;
use netwhy_facts::names::{AppAnswer, NameAnswers, NameOutcome, NameQuery};
use netwhy_facts::resolver::{NameServer, Resolver};

pub use message::{Kind, Mismatch, query, read};
pub use plan::candidates;

use crate::{Budget, Wait};

/// The C library uses no more servers (`MAXNS`).
const SERVERS: usize = 3;
/// How long servers are asked for comparison where the hosts file answers before them.
const COMPARISON: Duration = Duration::from_millis(400);
/// Silence for this long is a timeout here; a resolver's own patience is longer and is computed.
const PATIENCE: Duration = Duration::from_secs(2);

/// Resolves a name or literal. What the budget does not cover is not asked.
#[must_use]
pub fn resolve(
    host: &str,
    resolver: &Resolver,
    family: Option<Family>,
    budget: &Budget,
    wait: &Wait<'_>,
) -> NameAnswers {
    let mut answers = NameAnswers { name: host.to_owned(), ..NameAnswers::default() };
    if let Some(literal) = literal(host) {
        answers.application =
            AppAnswer { addresses: vec![(literal, "literal".into())], ..AppAnswer::default() };
        return answers;
    }
    answers.candidates = candidates(host, &resolver.search, resolver.ndots);
    let sources = plan::sources(&resolver.nsswitch_hosts, resolver, host);
    if sources.iter().any(|source| source.asks_dns()) {
        let servers = servers(resolver);
        // What the hosts file says is worth comparing with, but nobody would wait for the servers then.
        let beside = victim::from_files_first(host, resolver, &sources, family);
        let wait = wait.at_most(if beside { COMPARISON } else { PATIENCE });
        for candidate in &answers.candidates {
            let mut asked = ask_all(candidate, &servers, resolver, family, budget, &wait);
            if beside {
                // Silence within so short a time says nothing.
                asked.retain(|query| query.outcome != NameOutcome::Timeout);
            }
            let decided = decides(&asked);
            answers.queries.extend(asked);
            if decided || wait.is_over() {
                break;
            }
        }
        // Where the search list came first and has an answer, the name as it was typed is asked for comparison.
        let typed = host.trim_end_matches('.');
        let before = answers.candidates.iter().position(|candidate| candidate == typed).unwrap_or(0);
        let asked = answers.queries.iter().any(|query| query.qname == typed);
        if before > 0 && typed.contains('.') && !asked && !wait.is_over() {
            let brief = wait.at_most(COMPARISON);
            let mut more = ask_all(typed, &servers, resolver, family, budget, &brief);
            more.retain(|query| query.outcome != NameOutcome::Timeout);
            answers.queries.extend(more);
        }
    }
    answers.application = victim::application(host, &answers, resolver, &sources, family);
    let source = |address| netwhy_sys::socket::source_for(address, None, None).ok();
    order::sort(&mut answers.application.addresses, &resolver.gai, source);
    answers
}

/// An address as a name, with or without a zone or brackets.
fn literal(host: &str) -> Option<IpAddr> {
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let plain = host.split_once('%').map_or(host, |(address, _zone)| address);
    plain.parse().ok()
}

/// The servers in effect. Without any, the C library asks this host.
fn servers(resolver: &Resolver) -> Vec<NameServer> {
    if resolver.servers.is_empty() {
        return vec![NameServer { addr: Ipv4Addr::LOCALHOST.into(), port: 53, line: 0 }];
    }
    resolver.servers.iter().take(SERVERS).cloned().collect()
}

/// No need for the next candidate: a server had an address, or none said anything that a resolver would take as
/// a no.
fn decides(asked: &[NameQuery]) -> bool {
    let found = asked.iter().any(|query| match &query.outcome {
        NameOutcome::Reply { addresses, .. } => !addresses.is_empty(),
        _ => false,
    });
    let denied = asked.iter().any(|query| match &query.outcome {
        NameOutcome::Reply { rcode, .. } => rcode == "NXDOMAIN" || rcode == "NOERROR",
        _ => false,
    });
    found || !denied
}

fn ask_all(
    candidate: &str,
    servers: &[NameServer],
    resolver: &Resolver,
    family: Option<Family>,
    budget: &Budget,
    wait: &Wait<'_>,
) -> Vec<NameQuery> {
    let kinds: &[Kind] = match family {
        Some(Family::Inet) => &[Kind::A],
        // An application does not ask for IPv6 then.
        None if victim::has(resolver, "no-aaaa") => &[Kind::A],
        Some(Family::Inet6) => &[Kind::Aaaa],
        None => &[Kind::A, Kind::Aaaa],
    };
    let has = |name: &str| victim::has(resolver, name);
    std::thread::scope(|scope| {
        let threads: Vec<_> = servers
            .iter()
            .flat_map(|server| kinds.iter().map(move |kind| (server, *kind)))
            .map(|(server, kind)| {
                let ask = transport::Ask {
                    name: candidate,
                    kind,
                    server: (server.addr, server.port).into(),
                    edns: has("edns0") || has("trust-ad"),
                    tcp_only: has("use-vc"),
                };
                scope.spawn(move || transport::ask(&ask, budget, wait))
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}
