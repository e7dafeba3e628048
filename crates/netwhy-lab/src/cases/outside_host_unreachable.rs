//! The router cannot resolve the target and says host unreachable; the own neighbour is fine.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "outside-host-unreachable",
    title: "outside: the last router cannot reach the target",
    topology: Topology::ClientRouterServer,
    ask: Ask { node: "client", args: &["connect", "203.0.113.9:8080"] },
    victim: Victim {
        node: "client",
        target: "tcp://203.0.113.9:8080",
        sees: &["connect timeout", "connect EHOSTUNREACH"],
    },
    fault,
    ruled_out: &["neigh-unresolved"],
    budget_ms: 5000,
};

fn fault(_: &mut Lab) -> Result<Broken> {
    Ok(Broken::outside("path-hop-unreachable"))
}
