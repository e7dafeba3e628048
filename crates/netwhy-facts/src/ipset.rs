//! ipset sets that a rule refers to. Source: nfnetlink subsystem IPSET, protocol 6/7. Needs CAP_NET_ADMIN.

use serde::{Deserialize, Serialize};

use crate::store::Fact;

/// Sets read for the question.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ipsets(pub Vec<Ipset>);

impl Fact for Ipsets {
    const KIND: &'static str = "ipsets";
}

/// One set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ipset {
    /// Name.
    pub name: String,
    /// Kernel index (IPSET_ATTR_INDEX), by which an xtables match refers to it.
    pub index: Option<u16>,
    /// Type name: hash:ip, hash:net, bitmap:port, hash:ip,port, list:set …
    pub set_type: String,
    /// Family: 2 IPv4, 10 IPv6, 0 none.
    pub family: u8,
    /// Members in text as ipset(8) writes them: `198.51.100.0/24`, `198.51.100.7,tcp:80`.
    pub members: Vec<String>,
    /// Whether all members arrived; false when the set was larger than the bound.
    pub complete: bool,
}
