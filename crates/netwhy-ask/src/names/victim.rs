//! What an application gets from the answers, and how long it waits for that. No I/O.
//!
//! The waiting follows glibc's resolver: servers in order, each with its share of the timeout, the whole round
//! `attempts` times; A and AAAA are one exchange, repeated twice more when only one of them is answered.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netwhy_facts::Family;
use netwhy_facts::names::{AppAnswer, NameAnswers, NameOutcome, NameQuery};
use netwhy_facts::resolver::Resolver;

use super::plan::{Service, Source, Status};
use super::{message, servers};

/// Goes through the sources of nsswitch.conf as the C library does.
pub(super) fn application(
    host: &str,
    answers: &NameAnswers,
    resolver: &Resolver,
    sources: &[Source],
    family: Option<Family>,
) -> AppAnswer {
    let turn = |first| begin_with(host, answers, resolver, sources, family, first);
    let mut app = turn(0);
    if has(resolver, "rotate") && sources.iter().any(Source::asks_dns) {
        let servers = servers(resolver);
        app.by_first_server = servers
            .iter()
            .enumerate()
            .map(|(first, server)| {
                let one = turn(first);
                (server.addr, one.error, one.elapsed_us)
            })
            .collect();
    }
    app
}

/// Whether resolv.conf has an option.
pub(super) fn has(resolver: &Resolver, option: &str) -> bool {
    resolver.options.iter().any(|one| one == option)
}

fn begin_with(
    host: &str,
    answers: &NameAnswers,
    resolver: &Resolver,
    sources: &[Source],
    family: Option<Family>,
    first: usize,
) -> AppAnswer {
    let mut app = AppAnswer::default();
    let mut error = Failure::NoName;
    for source in sources {
        let (status, why) = match source.service {
            Service::Files => (files(host, resolver, family, &mut app), Failure::NoName),
            Service::MyHostname => (my_hostname(host, family, &mut app), Failure::NoName),
            Service::Dns => {
                let found = dns(answers, resolver, family, first);
                app.elapsed_us += found.waited_us;
                match found.result {
                    Ok((addresses, canonical)) => {
                        app.addresses.extend(addresses.into_iter().map(|address| (address, "dns".into())));
                        app.canonical = Some(canonical);
                        (Status::Success, Failure::NoName)
                    }
                    Err(None) => {
                        app.not_modelled.push("dns: not asked, the packet budget was spent".into());
                        (Status::Unavailable, Failure::Unknown)
                    }
                    Err(Some(why @ Failure::Again)) => (Status::TryAgain, why),
                    Err(Some(why)) => (Status::NotFound, why),
                }
            }
            Service::Absent => (Status::Unavailable, Failure::NoName),
            Service::Unknown => {
                app.not_modelled.push(source.name.clone());
                (Status::Unavailable, Failure::NoName)
            }
        };
        if why != Failure::NoName {
            error = why;
        }
        if source.ends_with(status) {
            break;
        }
    }
    if app.addresses.is_empty() {
        app.error = error.word().map(ToOwned::to_owned);
    }
    app
}

/// Why there is no address, in getaddrinfo's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    NoName,
    NoData,
    Again,
    Unknown,
}

impl Failure {
    const fn word(self) -> Option<&'static str> {
        match self {
            Failure::NoName => Some("EAI_NONAME"),
            Failure::NoData => Some("EAI_NODATA"),
            Failure::Again => Some("EAI_AGAIN"),
            Failure::Unknown => None,
        }
    }
}

fn wanted(address: IpAddr, family: Option<Family>) -> bool {
    family.is_none_or(|family| Family::of(&address) == family)
}

/// Whether the lookup ends with the hosts file before a server is asked.
pub(super) fn from_files_first(
    host: &str,
    resolver: &Resolver,
    sources: &[Source],
    family: Option<Family>,
) -> bool {
    let before = sources.iter().take_while(|source| !source.asks_dns());
    before.filter(|source| source.service == Service::Files).any(|source| {
        let found = files(host, resolver, family, &mut AppAnswer::default());
        found == Status::Success && source.ends_with(found)
    })
}

fn files(host: &str, resolver: &Resolver, family: Option<Family>, app: &mut AppAnswer) -> Status {
    let host = host.strip_suffix('.').unwrap_or(host);
    let found = resolver
        .hosts
        .iter()
        .filter(|entry| entry.name.eq_ignore_ascii_case(host) && wanted(entry.addr, family))
        .map(|entry| entry.addr);
    extend(app, found, "files")
}

/// nss-myhostname: `localhost` and everything below it. The host's own name needs its addresses; hosts usually
/// have it in the hosts file.
fn my_hostname(host: &str, family: Option<Family>, app: &mut AppAnswer) -> Status {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let local = host == "localhost"
        || host.ends_with(".localhost")
        || host == "localhost.localdomain"
        || host.ends_with(".localhost.localdomain");
    let both = [IpAddr::from(Ipv6Addr::LOCALHOST), Ipv4Addr::LOCALHOST.into()];
    let found = both.into_iter().filter(|address| local && wanted(*address, family));
    extend(app, found, "myhostname")
}

fn extend(app: &mut AppAnswer, found: impl Iterator<Item = IpAddr>, source: &str) -> Status {
    let before = app.addresses.len();
    for address in found {
        if !app.addresses.iter().any(|(known, _)| *known == address) {
            app.addresses.push((address, source.to_owned()));
        }
    }
    if app.addresses.len() > before { Status::Success } else { Status::NotFound }
}

/// How the dns source ends.
struct Found {
    /// Addresses and canonical name, or why not; `Err(None)` if nothing was asked.
    result: Result<(Vec<IpAddr>, String), Option<Failure>>,
    waited_us: u64,
}

/// The candidates in order: the first with addresses wins; silence ends the search.
fn dns(answers: &NameAnswers, resolver: &Resolver, family: Option<Family>, first: usize) -> Found {
    let mut waited_us = 0;
    let mut failure = None;
    for candidate in &answers.candidates {
        if message::query(candidate, message::Kind::A, false).is_none() {
            failure = failure.or(Some(Failure::NoName));
            continue;
        }
        let asked: Vec<&NameQuery> =
            answers.queries.iter().filter(|query| query.qname == *candidate).collect();
        if asked.is_empty() {
            break;
        }
        let one = candidate_of(&asked, resolver, family, first);
        waited_us += one.waited_us;
        match one.result {
            Ok((addresses, cname)) => {
                let canonical = cname.unwrap_or_else(|| candidate.clone());
                return Found { result: Ok((addresses, canonical)), waited_us };
            }
            // What the resolver remembers: no data before no such name; a failure before both.
            Err(Failure::Again) => {
                failure = Some(Failure::Again);
                break;
            }
            Err(Failure::NoData) => failure = Some(Failure::NoData),
            Err(why) => failure = failure.or(Some(why)),
        }
    }
    Found { result: Err(failure), waited_us }
}

struct One {
    result: Result<(Vec<IpAddr>, Option<String>), Failure>,
    waited_us: u64,
}

/// One candidate: rounds over the servers until one answers, beginning with the one at `first`.
fn candidate_of(asked: &[&NameQuery], resolver: &Resolver, family: Option<Family>, first: usize) -> One {
    let mut servers = servers(resolver);
    let turns = first % servers.len().max(1);
    servers.rotate_left(turns);
    // One by one instead of both at once, or each from a socket of its own.
    let (single, reopen) = (has(resolver, "single-request"), has(resolver, "single-request-reopen"));
    let kinds: &[&str] = match family {
        None if has(resolver, "no-aaaa") => &["A"],
        Some(Family::Inet) => &["A"],
        Some(Family::Inet6) => &["AAAA"],
        None => &["A", "AAAA"],
    };
    let mut waited_us = 0_u64;
    for _ in 0..resolver.attempts.clamp(1, 10) {
        for (index, server) in servers.iter().enumerate() {
            let patience = patience_us(resolver.timeout_s, index, servers.len());
            let exchanges: Vec<Exchange> = kinds
                .iter()
                .map(|kind| {
                    let of_server = |query: &&&NameQuery| {
                        query.server == server.addr && query.port == server.port && query.qtype == *kind
                    };
                    exchange(asked.iter().filter(of_server).copied())
                })
                .collect();
            let good: Vec<&Exchange> = exchanges.iter().filter(|one| one.answer.is_some()).collect();
            let times = exchanges.iter().map(|one| one.elapsed_us);
            let longest = if single || reopen { times.sum() } else { times.max().unwrap_or(0) };
            let silent = exchanges.iter().any(|one| one.silent);
            waited_us += match (silent, good.is_empty()) {
                (false, _) => longest,
                (true, true) => patience,
                // Half an answer: asked again one by one, then on new sockets, before it is taken as it is.
                (true, false) if reopen => patience,
                (true, false) if single => 2 * patience,
                (true, false) => 3 * patience,
            };
            if !good.is_empty() {
                return One { result: merge(&good), waited_us };
            }
        }
    }
    One { result: Err(Failure::Again), waited_us }
}

/// The timeout for a server by its place (`RES_TIMEOUT` doubled for each, shared among them after the first).
fn patience_us(timeout_s: u32, index: usize, servers: usize) -> u64 {
    let mut seconds = u64::from(timeout_s.clamp(1, 30)) << index.min(8);
    if index > 0 {
        seconds /= (servers as u64).max(1);
    }
    seconds.max(1) * 1_000_000
}

/// One query as the resolver sees it, over TCP too where UDP was cut.
struct Exchange<'a> {
    answer: Option<(&'a str, &'a [IpAddr], &'a [String])>,
    silent: bool,
    elapsed_us: u64,
}

fn exchange<'a>(queries: impl Iterator<Item = &'a NameQuery>) -> Exchange<'a> {
    let mut exchange = Exchange { answer: None, silent: true, elapsed_us: 0 };
    let mut cut = false;
    for query in queries {
        // TCP counts where it is all there is, or where UDP sent us to it; else it was asked for comparison.
        let counts = !query.tcp || cut || exchange.elapsed_us == 0;
        if !counts {
            continue;
        }
        exchange.elapsed_us += query.elapsed_us;
        exchange.silent = false;
        exchange.answer = None;
        match &query.outcome {
            NameOutcome::Reply { truncated: true, .. } if !query.tcp => cut = true,
            NameOutcome::Reply { rcode, addresses, cnames, .. }
                if rcode == "NOERROR" || rcode == "NXDOMAIN" =>
            {
                exchange.answer = Some((rcode, addresses, cnames));
            }
            // Any other rcode, and a socket error, send the resolver to the next server at once.
            NameOutcome::Reply { .. } | NameOutcome::Error { .. } => {}
            // What does not fit is thrown away, so that it is silence to the resolver.
            NameOutcome::Timeout | NameOutcome::Garbage { .. } => exchange.silent = true,
        }
    }
    exchange
}

fn merge(good: &[&Exchange<'_>]) -> Result<(Vec<IpAddr>, Option<String>), Failure> {
    let answers = || good.iter().filter_map(|one| one.answer);
    let addresses: Vec<IpAddr> = answers().flat_map(|(_, addresses, _)| addresses).copied().collect();
    if !addresses.is_empty() {
        let canonical = answers().find_map(|(_, _, cnames)| cnames.last().cloned());
        return Ok((addresses, canonical));
    }
    let exists = answers().any(|(rcode, ..)| rcode == "NOERROR");
    Err(if exists { Failure::NoData } else { Failure::NoName })
}

#[cfg(test)]
mod tests {
    use super::super::{candidates, plan};
    use super::*;
    use netwhy_facts::resolver::{HostsEntry, NameServer};

    fn resolver(servers: &[&str], nsswitch: &[&str]) -> Resolver {
        Resolver {
            servers: servers
                .iter()
                .map(|addr| NameServer { addr: addr.parse().unwrap(), port: 53, line: 1 })
                .collect(),
            timeout_s: 5,
            attempts: 2,
            ndots: 1,
            nsswitch_hosts: nsswitch.iter().map(ToString::to_string).collect(),
            ..Resolver::default()
        }
    }

    fn query(server: &str, qname: &str, qtype: &str, elapsed_us: u64, outcome: NameOutcome) -> NameQuery {
        NameQuery {
            server: server.parse().unwrap(),
            port: 53,
            qname: qname.into(),
            qtype: qtype.into(),
            tcp: false,
            elapsed_us,
            outcome,
        }
    }

    fn reply(rcode: &str, addresses: &[&str]) -> NameOutcome {
        NameOutcome::Reply {
            rcode: rcode.into(),
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
            cnames: vec![],
            truncated: false,
            authoritative: false,
            recursion_available: true,
            ttl_s: None,
            ede: None,
        }
    }

    fn app(host: &str, resolver: &Resolver, queries: Vec<NameQuery>) -> AppAnswer {
        let answers = NameAnswers {
            name: host.into(),
            candidates: candidates(host, &resolver.search, resolver.ndots),
            queries,
            ..NameAnswers::default()
        };
        let sources = plan::sources(&resolver.nsswitch_hosts, resolver, host);
        application(host, &answers, resolver, &sources, None)
    }

    #[test]
    fn with_rotate_each_server_comes_first_in_its_turn() {
        let mut r = resolver(&[S1, S2], &["files", "dns"]);
        let queries = |r: &Resolver| {
            let silent = ["A", "AAAA"].map(|k| query(S2, "db.example", k, 2_000_000, NameOutcome::Timeout));
            let good =
                ["A", "AAAA"].map(|k| query(S1, "db.example", k, 1000, reply("NOERROR", &["192.0.2.1"])));
            app("db.example", r, silent.into_iter().chain(good).collect())
        };
        assert!(queries(&r).by_first_server.is_empty());
        r.options.push("rotate".into());
        let turns = queries(&r).by_first_server;
        assert_eq!(
            turns.iter().map(|(s, _, us)| (s.to_string(), *us)).collect::<Vec<_>>(),
            [(S1.to_string(), 1000), (S2.to_string(), 5_000_000 + 1000)]
        );
    }

    #[test]
    fn one_by_one_the_times_add_up() {
        let mut r = resolver(&[S1], &["dns"]);
        let ask = |r: &Resolver| {
            let queries =
                ["A", "AAAA"].map(|k| query(S1, "db.example", k, 1000, reply("NOERROR", &["192.0.2.1"])));
            app("db.example", r, queries.into()).elapsed_us
        };
        assert_eq!(ask(&r), 1000);
        r.options.push("single-request".into());
        assert_eq!(ask(&r), 2000);
        r.options = vec!["no-aaaa".into()];
        assert_eq!(ask(&r), 1000);
    }

    const S1: &str = "198.51.100.53";
    const S2: &str = "198.51.100.54";

    #[test]
    fn both_families_from_the_first_server() {
        let resolver = resolver(&[S1], &["files", "dns"]);
        let got = app(
            "db.internal",
            &resolver,
            vec![
                query(S1, "db.internal", "A", 900, reply("NOERROR", &["203.0.113.1"])),
                query(S1, "db.internal", "AAAA", 1_500, reply("NOERROR", &["2001:db8::1"])),
            ],
        );
        assert_eq!(got.addresses.len(), 2);
        assert_eq!((got.canonical.as_deref(), got.error, got.elapsed_us), (Some("db.internal"), None, 1_500));
    }

    #[test]
    fn a_silent_first_server_costs_its_whole_timeout() {
        let resolver = resolver(&[S1, S2], &["files", "dns"]);
        let got = app(
            "db.internal",
            &resolver,
            vec![
                query(S1, "db.internal", "A", 2_000_000, NameOutcome::Timeout),
                query(S1, "db.internal", "AAAA", 2_000_000, NameOutcome::Timeout),
                query(S2, "db.internal", "A", 700, reply("NOERROR", &["203.0.113.1"])),
                query(S2, "db.internal", "AAAA", 700, reply("NOERROR", &[])),
            ],
        );
        assert_eq!((got.addresses.len(), got.elapsed_us), (1, 5_000_700));
    }

    #[test]
    fn an_unanswered_aaaa_is_waited_for_three_times() {
        let resolver = resolver(&[S1], &["dns"]);
        let got = app(
            "db.internal",
            &resolver,
            vec![
                query(S1, "db.internal", "A", 700, reply("NOERROR", &["203.0.113.1"])),
                query(S1, "db.internal", "AAAA", 2_000_000, NameOutcome::Timeout),
            ],
        );
        assert_eq!((got.addresses.len(), got.elapsed_us), (1, 15_000_000));
    }

    #[test]
    fn failures_in_getaddrinfos_words() {
        let resolver = resolver(&[S1], &["files", "dns"]);
        let both = |outcome: NameOutcome| {
            ["A", "AAAA"].map(|kind| query(S1, "db.internal", kind, 500, outcome.clone())).to_vec()
        };
        let refused = NameOutcome::Error { errno: 111, name: "ECONNREFUSED".into() };
        for (outcome, word, waited) in [
            (reply("NXDOMAIN", &[]), "EAI_NONAME", 500),
            (reply("NOERROR", &[]), "EAI_NODATA", 500),
            (reply("SERVFAIL", &[]), "EAI_AGAIN", 1_000),
            (reply("REFUSED", &[]), "EAI_AGAIN", 1_000),
            (refused, "EAI_AGAIN", 1_000),
            (NameOutcome::Timeout, "EAI_AGAIN", 10_000_000),
            (NameOutcome::Garbage { why: "id".into() }, "EAI_AGAIN", 10_000_000),
        ] {
            let got = app("db.internal", &resolver, both(outcome.clone()));
            assert_eq!((got.error.as_deref(), got.elapsed_us), (Some(word), waited), "{outcome:?}");
        }
        let unasked = app("db.internal", &resolver, vec![]);
        assert_eq!((unasked.error, unasked.not_modelled.len()), (None, 1));
        let invalid = app("a..b", &resolver, vec![]);
        assert_eq!((invalid.error.as_deref(), invalid.not_modelled.len()), (Some("EAI_NONAME"), 0));
    }

    #[test]
    fn a_cut_answer_is_asked_for_over_tcp() {
        let resolver = resolver(&[S1], &["dns"]);
        let mut cut = reply("NOERROR", &[]);
        if let NameOutcome::Reply { truncated, .. } = &mut cut {
            *truncated = true;
        }
        let over = |outcome| NameQuery { tcp: true, ..query(S1, "db.internal", "A", 900, outcome) };
        let aaaa = query(S1, "db.internal", "AAAA", 100, reply("NOERROR", &[]));
        let udp = query(S1, "db.internal", "A", 400, cut);
        let good = vec![udp.clone(), over(reply("NOERROR", &["203.0.113.1"])), aaaa.clone()];
        let got = app("db.internal", &resolver, good);
        assert_eq!((got.addresses.len(), got.elapsed_us), (1, 1_300));
        let shut = NameOutcome::Error { errno: 111, name: "ECONNREFUSED".into() };
        let got = app("db.internal", &resolver, vec![udp, over(shut), aaaa]);
        assert_eq!(got.error.as_deref(), Some("EAI_NODATA"), "only AAAA was answered, with nothing");
    }

    #[test]
    fn tcp_for_comparison_does_not_help_the_victim() {
        let resolver = resolver(&[S1], &["dns"]);
        let tcp =
            NameQuery { tcp: true, ..query(S1, "db.internal", "A", 900, reply("NOERROR", &["203.0.113.1"])) };
        let silent = |kind| query(S1, "db.internal", kind, 2_000_000, NameOutcome::Timeout);
        let got = app("db.internal", &resolver, vec![silent("A"), tcp, silent("AAAA")]);
        assert_eq!(got.error.as_deref(), Some("EAI_AGAIN"));
    }

    #[test]
    fn the_hosts_file_comes_first_where_it_is_asked_first() {
        let mut resolver = resolver(&[S1], &["files", "dns"]);
        resolver.hosts =
            vec![HostsEntry { line: 3, addr: "203.0.113.9".parse().unwrap(), name: "DB.internal".into() }];
        let answers = || {
            ["A", "AAAA"]
                .map(|kind| query(S1, "db.internal", kind, 500, reply("NOERROR", &["203.0.113.1"])))
                .to_vec()
        };
        let got = app("db.internal", &resolver, answers());
        assert_eq!(got.addresses, [("203.0.113.9".parse().unwrap(), "files".to_owned())]);
        assert_eq!(got.elapsed_us, 0);
        resolver.nsswitch_hosts = vec!["dns".into(), "files".into()];
        assert_eq!(app("db.internal", &resolver, answers()).addresses[0].1, "dns");
    }

    #[test]
    fn the_search_list_is_walked_and_sources_that_cannot_be_asked_are_named() {
        let mut resolver = resolver(&[S1], &["sss", "files", "myhostname", "dns"]);
        resolver.search = vec!["corp.example".into(), "example".into()];
        let got = app(
            "db",
            &resolver,
            vec![
                query(S1, "db.corp.example", "A", 300, reply("NXDOMAIN", &[])),
                query(S1, "db.corp.example", "AAAA", 300, reply("NXDOMAIN", &[])),
                query(S1, "db.example", "A", 400, reply("NOERROR", &["203.0.113.1"])),
                query(S1, "db.example", "AAAA", 300, reply("NOERROR", &[])),
            ],
        );
        assert_eq!((got.canonical.as_deref(), got.elapsed_us), (Some("db.example"), 700));
        assert_eq!(got.not_modelled, ["sss"]);
        let got = app("localhost", &resolver, vec![]);
        assert_eq!(got.addresses.len(), 2);
        assert!(got.addresses.iter().all(|(_, source)| source == "myhostname"));
    }
}
