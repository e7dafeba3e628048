//! What each name server said, and what the name causes share.

use netwhy_facts::names::{NameAnswers, NameOutcome, NameQuery};
use netwhy_facts::resolver::Resolver;
use netwhy_facts::{Locus, Reading};

use crate::case::Case;
use crate::cause::{Finding, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;

/// The names of a question with the set-up they were asked by.
pub(crate) struct Naming<'a> {
    pub(crate) answers: &'a NameAnswers,
    pub(crate) resolver: &'a Resolver,
}

/// What a server said about the name, over all its queries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// It has an address.
    Address,
    /// A cut answer over UDP, and TCP failed: how.
    Truncated(String),
    /// An error code other than NXDOMAIN.
    Rcode(String),
    /// Bytes that are no answer: why.
    Garbage(String),
    /// The name does not exist.
    NxDomain,
    /// The name exists and has no address.
    NoData,
    /// Nothing came back.
    Timeout,
    /// The socket reported an error: its name.
    Socket(String),
    /// It was not asked.
    NotAsked,
}

impl<'a> Naming<'a> {
    /// The names of the case; `None` when no name was asked.
    pub(crate) fn of(case: &Case<'a>) -> Option<Self> {
        match (case.facts.latest::<NameAnswers>(), case.facts.latest::<Resolver>()) {
            (Reading::Known { value: answers, .. }, Reading::Known { value: resolver, .. }) => {
                Some(Self { answers, resolver })
            }
            _ => None,
        }
    }

    /// Whether an application gets no address.
    pub(crate) fn failed(&self) -> bool {
        self.answers.application.addresses.is_empty()
    }

    /// The configured servers with what they said, in order.
    pub(crate) fn servers(&self) -> Vec<(std::net::IpAddr, Said)> {
        self.resolver.servers.iter().map(|s| (s.addr, self.said(s.addr))).collect()
    }

    fn said(&self, server: std::net::IpAddr) -> Said {
        let queries: Vec<&NameQuery> = self.answers.queries.iter().filter(|q| q.server == server).collect();
        let first = |pick: &dyn Fn(&NameQuery) -> Option<Said>| queries.iter().find_map(|q| pick(q));
        let address = first(&|q| match &q.outcome {
            NameOutcome::Reply { addresses, .. } if !addresses.is_empty() => Some(Said::Address),
            _ => None,
        });
        let truncated = first(&|q| match &q.outcome {
            NameOutcome::Reply { truncated: true, .. } if !q.tcp => {
                let tcp = queries.iter().find(|t| t.tcp && t.qname == q.qname && t.qtype == q.qtype)?;
                match &tcp.outcome {
                    NameOutcome::Reply { .. } => None,
                    NameOutcome::Timeout => Some(Said::Truncated("no answer".into())),
                    NameOutcome::Error { name, .. } => Some(Said::Truncated(name.clone())),
                    NameOutcome::Garbage { why } => Some(Said::Truncated(why.clone())),
                }
            }
            _ => None,
        });
        let rcode = first(&|q| match &q.outcome {
            NameOutcome::Reply { rcode, .. } if rcode != "NOERROR" && rcode != "NXDOMAIN" => {
                Some(Said::Rcode(rcode.clone()))
            }
            _ => None,
        });
        let garbage = first(&|q| match &q.outcome {
            NameOutcome::Garbage { why } => Some(Said::Garbage(why.clone())),
            _ => None,
        });
        let nodata = first(&|q| match &q.outcome {
            NameOutcome::Reply { rcode, truncated: false, .. } if rcode == "NOERROR" => Some(Said::NoData),
            _ => None,
        });
        let nxdomain = first(&|q| match &q.outcome {
            NameOutcome::Reply { rcode, .. } if rcode == "NXDOMAIN" => Some(Said::NxDomain),
            _ => None,
        });
        let timeout = first(&|q| matches!(q.outcome, NameOutcome::Timeout).then_some(Said::Timeout));
        let socket = first(&|q| match &q.outcome {
            NameOutcome::Error { name, .. } => Some(Said::Socket(name.clone())),
            _ => None,
        });
        [address, truncated, rcode, garbage, nodata, nxdomain, socket, timeout]
            .into_iter()
            .flatten()
            .next()
            .unwrap_or(Said::NotAsked)
    }

    /// The server as an object: its address and the line that names it.
    pub(crate) fn locus(&self, server: std::net::IpAddr) -> Locus {
        let line = self.resolver.servers.iter().find(|s| s.addr == server).map_or(0, |s| s.line);
        let source = match line {
            0 => format!("no nameserver line in {}", self.resolver.file),
            line => format!("{}:{line}", self.resolver.file),
        };
        Locus::Resolver { server: server.to_string(), source }
    }

    /// Evidence: what a server said.
    pub(crate) fn evidence(&self, server: std::net::IpAddr) -> Evidence {
        let said = self.said(server);
        let elapsed = self.answers.queries.iter().filter(|q| q.server == server).map(|q| q.elapsed_us).max();
        let tcp = if matches!(said, Said::Truncated(_)) { "+tcp " } else { "" };
        Evidence::new(
            format!("server:{server}"),
            format!("{server} {}", said.words()),
            "query to each server",
        )
        .value(said.words())
        .window(elapsed.unwrap_or(0))
        .command(format!("dig {tcp}@{server} {}", crate::fix::quote(&self.answers.name)))
    }

    /// Evidence: what an application gets.
    pub(crate) fn ev_application(&self) -> Evidence {
        let app = &self.answers.application;
        let text = match &app.error {
            Some(error) => format!("an application gets {error} for {}", self.answers.name),
            None => {
                let list: Vec<String> =
                    app.addresses.iter().map(|(a, from)| format!("{a} from {from}")).collect();
                format!("an application gets {} for {}", list.join(", "), self.answers.name)
            }
        };
        Evidence::new("application", text, "nsswitch.conf, hosts, resolv.conf")
            .value(app.error.clone().unwrap_or_default())
            .window(app.elapsed_us)
            .command(format!("getent ahosts {}", crate::fix::quote(&self.answers.name)))
    }

    /// Every server that said something `which` picks becomes a proven finding, when the name fails and no server
    /// said anything better.
    pub(crate) fn blame_servers(
        &self,
        case: &Case<'_>,
        which: impl Fn(&Said) -> bool,
        summary: impl Fn(std::net::IpAddr, &Said) -> String,
        fix: impl Fn(std::net::IpAddr) -> Vec<Fix>,
    ) -> Verdict {
        if !self.failed() {
            return Verdict::Silent;
        }
        let servers = self.servers();
        // A server that said no such name ended the search; one that fails beside it only cost time.
        let decided = servers.iter().any(|(_, s)| matches!(s, Said::NxDomain | Said::NoData));
        if decided {
            return Verdict::Silent;
        }
        let findings = servers.iter().filter(|(_, said)| which(said)).map(|(server, said)| {
            let mut finding = Finding::new(self.locus(*server), summary(*server, said))
                .evidence(self.evidence(*server))
                .evidence(self.ev_application());
            for one in fix(*server) {
                finding = finding.fix(one);
            }
            finding.verify(case.ask_again()).proven()
        });
        Verdict::several(findings.collect())
    }
}

impl Said {
    /// In words after the server's address.
    pub(crate) fn words(&self) -> String {
        match self {
            Said::Address => "has an address".into(),
            Said::Truncated(how) => format!("gives a cut answer over UDP, and over TCP {how}"),
            Said::Rcode(rcode) => format!("answers {rcode}"),
            Said::Garbage(why) => format!("sends what is no answer ({why})"),
            Said::NxDomain => "answers NXDOMAIN".into(),
            Said::NoData => "knows the name and has no address for it".into(),
            Said::Timeout => "does not answer".into(),
            Said::Socket(name) => format!("cannot be asked ({name})"),
            Said::NotAsked => "was not asked".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use netwhy_facts::names::AppAnswer;
    use netwhy_facts::question::{App, Question, Scenario, Target};
    use netwhy_facts::resolver::NameServer;
    use netwhy_facts::{Facts, Proto, Role};

    use super::*;

    fn reply(rcode: &str, address: Option<&str>, truncated: bool) -> NameOutcome {
        NameOutcome::Reply {
            rcode: rcode.into(),
            addresses: address.iter().map(|a| a.parse().unwrap()).collect(),
            cnames: vec![],
            truncated,
            authoritative: false,
            recursion_available: true,
            ttl_s: None,
            ede: None,
        }
    }

    fn error(name: &str) -> NameOutcome {
        NameOutcome::Error { errno: 1, name: name.into() }
    }

    /// The ids of what is found for these servers, each with its answer over UDP and, when asked, over TCP.
    fn found(
        sources: &[&str],
        servers: &[(&str, NameOutcome, Option<NameOutcome>)],
        app: Option<&str>,
    ) -> Vec<String> {
        let query = |server: &str, tcp, outcome: &NameOutcome| NameQuery {
            server: server.parse().unwrap(),
            port: 53,
            qname: "db.test".into(),
            qtype: "A".into(),
            tcp,
            elapsed_us: 1000,
            outcome: outcome.clone(),
        };
        let mut answers = NameAnswers {
            name: "db.test".into(),
            candidates: vec!["db.test".into()],
            application: AppAnswer {
                addresses: app.iter().map(|a| (a.parse().unwrap(), "dns".to_string())).collect(),
                error: app.is_none().then(|| "EAI_AGAIN".into()),
                ..AppAnswer::default()
            },
            ..NameAnswers::default()
        };
        let mut resolver = Resolver {
            file: "/etc/resolv.conf".into(),
            nsswitch_hosts: sources.iter().map(|s| s.to_string()).collect(),
            ..Resolver::default()
        };
        for (line, (server, udp, tcp)) in servers.iter().enumerate() {
            resolver.servers.push(NameServer {
                addr: server.parse().unwrap(),
                port: 53,
                line: line as u32 + 1,
            });
            answers.queries.push(query(server, false, udp));
            answers.queries.extend(tcp.as_ref().map(|t| query(server, true, t)));
        }
        let mut facts = Facts::new();
        facts.put(Reading::known(answers, "test", 1));
        facts.put(Reading::known(resolver, "test", 1));
        let question = Question {
            scenario: Scenario::Connect,
            target_text: "db.test:80".into(),
            target: Target {
                host: "db.test".into(),
                literal: None,
                zone: None,
                port: 80,
                proto: Proto::Tcp,
                app: App::None,
                path: "/".into(),
            },
            role: Role::Client,
            from: None,
            family: None,
            flows: vec![],
            budget_ms: 5000,
            asked_with: Vec::new(),
        };
        crate::engine::judge(&facts, &question, &[]).causes.into_iter().map(|c| c.id).collect()
    }

    #[test]
    fn each_way_a_server_fails_has_its_own_name() {
        let one = |outcome, tcp| found(&["files", "dns"], &[("203.0.113.1", outcome, tcp)], None);
        assert_eq!(one(NameOutcome::Timeout, Some(NameOutcome::Timeout)), ["dns-timeout"]);
        assert_eq!(one(error("ECONNREFUSED"), None), ["dns-server-down"]);
        assert_eq!(one(error("ENETUNREACH"), None), ["dns-server-unreachable"]);
        assert_eq!(one(reply("SERVFAIL", None, false), None), ["dns-servfail"]);
        assert_eq!(one(reply("REFUSED", None, false), None), ["dns-refused"]);
        assert_eq!(one(NameOutcome::Garbage { why: "x".into() }, None), ["dns-garbage"]);
        assert_eq!(one(reply("NOERROR", None, true), Some(error("ECONNREFUSED"))), ["dns-truncated"]);
        assert_eq!(one(reply("NXDOMAIN", None, false), None), ["dns-nxdomain"]);
        assert_eq!(one(reply("NOERROR", None, false), None), ["dns-no-address"]);
    }

    #[test]
    fn a_definite_answer_outweighs_a_silent_server() {
        let servers = [
            ("203.0.113.1", NameOutcome::Timeout, None),
            ("203.0.113.2", reply("NXDOMAIN", None, false), None),
        ];
        assert_eq!(found(&["files", "dns"], &servers, None), ["dns-nxdomain"]);
    }

    #[test]
    fn a_name_that_resolves_blames_only_the_server_everybody_waits_for() {
        let good = reply("NOERROR", Some("203.0.113.9"), false);
        let healthy = [("203.0.113.1", good.clone(), None), ("203.0.113.2", NameOutcome::Timeout, None)];
        assert!(found(&["files", "dns"], &healthy, Some("203.0.113.9")).is_empty());
        let slow = [("203.0.113.1", NameOutcome::Timeout, None), ("203.0.113.2", good, None)];
        assert_eq!(found(&["files", "dns"], &slow, Some("203.0.113.9")), ["dns-one-bad-resolver"]);
    }

    #[test]
    fn without_dns_in_the_switch_no_server_is_blamed() {
        assert_eq!(found(&["files"], &[], None), ["dns-nsswitch"]);
    }
}
