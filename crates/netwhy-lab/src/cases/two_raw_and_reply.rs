//! A raw rule drops the SYN, and an output rule would drop the answer.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "two-raw-and-reply",
    title: "two faults: raw rule and output rule on the server",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &[],
    budget_ms: 8000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let first = (super::nft_drop_raw::CASE.fault)(lab)?;
    Ok(first.join((super::nft_drop_server_reply::CASE.fault)(lab)?))
}
