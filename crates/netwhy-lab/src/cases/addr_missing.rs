//! The program binds to an address that this host no longer has.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "addr-missing",
    title: "the address a program sends from is gone",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080", "--source", "203.0.113.9"] },
    victim: Victim {
        node: "client",
        target: "tcp-bound-203.0.113.9://203.0.113.2:8080",
        sees: &["bind EADDRNOTAVAIL"],
    },
    fault,
    ruled_out: &["ephemeral-exhausted"],
    budget_ms: 5000,
};

fn fault(_lab: &mut Lab) -> Result<Broken> {
    Ok(Broken::by("addr-missing", locus::missing_address("203.0.113.9"))
        .heal(|lab| lab.node("client")?.addr_add("eth0", "203.0.113.9/24")))
}
