//! A tc filter drops the SYN, and the input chain would drop the answer.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "two-filter-and-reply",
    title: "two faults: tc filter and input policy",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &[],
    budget_ms: 8000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let first = (super::tc_filter_drop::CASE.fault)(lab)?;
    Ok(first.join((super::nft_drop_reply::CASE.fault)(lab)?))
}
