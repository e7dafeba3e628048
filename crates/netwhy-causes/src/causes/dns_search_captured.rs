//! # The search list turns the name into another one
//!
//! ## What you see
//! The name resolves, but to an address that has nothing to do with it; with a dot at its end it is right.
//!
//! ## What happens
//! The name has fewer dots than `ndots` asks for, so the resolver tries it below each search domain first. One of them
//! answers for everything (a wildcard record), and the name itself is never asked. Kubernetes sets ndots to 5.
//!
//! ## How netwhy knows
//! The application's address came from a name below a search domain, connecting to it fails, and the name servers have
//! another address for the name as it was typed.
//!
//! ## Look-alikes
//! A wrong record for the name itself: the servers give the same address for both. A hosts line (dns-stale-hosts).
//!
//! ## What to do
//! Type the name with a dot at its end, lower ndots, take the domain out of the search list, or remove the wildcard.
//!
//! ## References
//! resolv.conf(5) search, ndots; RFC 4592; RFC 1535.

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
    id: "dns-search-captured",
    title: "the search list turns the name into another one",
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
    let typed = names.answers.name.trim_end_matches('.');
    let app = &names.answers.application;
    let from_dns = app.addresses.iter().any(|(addr, source)| *addr == case.flow.dst && source == "dns");
    let addresses_of = |name: &str| {
        let replies = names.answers.queries.iter().filter(|q| q.qname == name);
        let mut all: Vec<std::net::IpAddr> = replies
            .filter_map(|q| match &q.outcome {
                NameOutcome::Reply { addresses, .. } => Some(addresses),
                _ => None,
            })
            .flatten()
            .copied()
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    // The candidate that gave the address, as the resolver tries them.
    let Some(took) = names.answers.candidates.iter().find(|c| addresses_of(c).contains(&case.flow.dst))
    else {
        return Verdict::Silent;
    };
    let own = addresses_of(typed);
    if !from_dns || took == typed || own.is_empty() || own.contains(&case.flow.dst) {
        return Verdict::Silent;
    }
    let r = names.resolver;
    let list = own.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Finding::new(
        Locus::ConfigLine {
            file: r.file.clone(),
            line: r.search_line,
            text: format!("search {}", r.search.join(" ")),
        },
        format!(
            "the search list makes {took} of {typed}, which leads to {} and fails; {typed} itself is {list}",
            case.flow.dst
        ),
    )
    .maybe(case.ev_attempt())
    .evidence(
        Evidence::new("captured", format!("{took} is {}", case.flow.dst), "query to each server")
            .value(case.flow.dst.to_string())
            .command(format!("dig +short {}", quote(&format!("{took}.")))),
    )
    .evidence(
        Evidence::new("as-typed", format!("{typed} is {list}"), "query to each server")
            .value(list)
            .command(format!("dig +short {}", quote(&format!("{typed}.")))),
    )
    .evidence(
        Evidence::new("ndots", format!("ndots is {}, the name has fewer dots", r.ndots), r.file.clone())
            .value(r.ndots)
            .command(format!("cat {}", quote(&r.file))),
    )
    .fix(Fix::act(format!("use {typed}. with the dot at its end")))
    .fix(Fix::act(format!("or lower ndots or take the domain out of the search list in {}", r.file)))
    .verify(format!("getent ahosts {}", quote(typed)))
    .proven()
}

#[cfg(test)]
mod tests {
    use netwhy_facts::names::{AppAnswer, NameAnswers, NameQuery};
    use netwhy_facts::resolver::Resolver;

    use super::*;
    use crate::testing::*;

    fn query(qname: &str, addresses: &[&str]) -> NameQuery {
        NameQuery {
            server: ip("198.51.100.53"),
            port: 53,
            qname: qname.into(),
            qtype: "A".into(),
            tcp: false,
            elapsed_us: 500,
            outcome: NameOutcome::Reply {
                rcode: "NOERROR".into(),
                addresses: addresses.iter().map(|a| ip(a)).collect(),
                cnames: vec![],
                truncated: false,
                authoritative: false,
                recursion_available: true,
                ttl_s: None,
                ede: None,
            },
        }
    }

    fn asked(own: &[&str]) -> Scene {
        Scene::client("203.0.113.99", 80)
            .timeout(3000)
            .with(Resolver {
                file: "/etc/resolv.conf".into(),
                ndots: 5,
                search: vec!["corp.test".into()],
                search_line: 2,
                ..Resolver::default()
            })
            .with(NameAnswers {
                name: "db.example.test".into(),
                candidates: vec!["db.example.test.corp.test".into(), "db.example.test".into()],
                queries: vec![
                    query("db.example.test.corp.test", &["203.0.113.99"]),
                    query("db.example.test", own),
                ],
                application: AppAnswer {
                    addresses: vec![(ip("203.0.113.99"), "dns".into())],
                    ..AppAnswer::default()
                },
            })
    }

    #[test]
    fn a_wildcard_below_a_search_domain_is_named() {
        let f = proven(asked(&["203.0.113.2"]).judge(&CAUSE));
        assert!(matches!(f.locus, Locus::ConfigLine { line: 2, .. }), "{:?}", f.locus);
        assert!(f.summary.contains("itself is 203.0.113.2"), "{}", f.summary);
    }

    #[test]
    fn where_the_name_itself_says_the_same_or_nothing_the_list_is_innocent() {
        silent(asked(&["203.0.113.99"]).judge(&CAUSE));
        silent(asked(&[]).judge(&CAUSE));
    }

    #[test]
    fn a_name_that_was_not_asked_is_not_judged() {
        silent(Scene::client("203.0.113.99", 80).timeout(3000).judge(&CAUSE));
    }
}
