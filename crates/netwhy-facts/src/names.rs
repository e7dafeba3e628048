//! What name resolution answered: each server by itself, and what an application would get. Filled by asking.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::store::Fact;

/// Answers for the question's name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NameAnswers {
    /// The name as typed.
    pub name: String,
    /// Candidates in the order the stub resolver tries them (search list and ndots applied).
    pub candidates: Vec<String>,
    /// Every query sent, per server and transport.
    pub queries: Vec<NameQuery>,
    /// What an application gets through nsswitch: addresses in the order of RFC 6724 where it could be computed.
    pub application: AppAnswer,
}

impl Fact for NameAnswers {
    const KIND: &'static str = "name-answers";
}

/// One query to one server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NameQuery {
    /// Server.
    pub server: IpAddr,
    /// Port, 53 unless configured otherwise.
    pub port: u16,
    /// Query name.
    pub qname: String,
    /// A, AAAA, CNAME …
    pub qtype: String,
    /// True for TCP.
    pub tcp: bool,
    /// Microseconds from sending to the outcome.
    pub elapsed_us: u64,
    /// Outcome.
    pub outcome: NameOutcome,
}

/// Outcome of a query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum NameOutcome {
    /// A reply: rcode name (NOERROR, NXDOMAIN, SERVFAIL, REFUSED …), addresses, CNAME chain, TC bit, authoritative bit, recursion available, smallest TTL, extended error text.
    Reply {
        rcode: String,
        addresses: Vec<IpAddr>,
        cnames: Vec<String>,
        truncated: bool,
        authoritative: bool,
        recursion_available: bool,
        ttl_s: Option<u32>,
        ede: Option<String>,
    },
    /// No reply before the deadline.
    Timeout,
    /// The socket reported an error (ECONNREFUSED = port closed by ICMP or RST).
    Error { errno: i32, name: String },
    /// A reply that does not parse or does not fit the question: what is wrong.
    Garbage { why: String },
}

/// What an application would get.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AppAnswer {
    /// Addresses with the source that gave them: `files`, `dns`, `literal`, `myhostname`.
    pub addresses: Vec<(IpAddr, String)>,
    /// The fully qualified name that answered.
    pub canonical: Option<String>,
    /// Why there is none: a word of getaddrinfo (EAI_NONAME, EAI_AGAIN, EAI_FAIL …).
    pub error: Option<String>,
    /// Microseconds an application would have waited.
    pub elapsed_us: u64,
    /// With the option `rotate` each lookup begins with another server: the server, its error if it fails then, and how
    /// long an application waits. Empty without the option; `elapsed_us` is then that of the first server.
    #[serde(default)]
    pub by_first_server: Vec<(IpAddr, Option<String>, u64)>,
    /// Sources of nsswitch this build cannot ask (`resolve`, `mdns4_minimal`, `sss`, `ldap` …).
    pub not_modelled: Vec<String>,
}
