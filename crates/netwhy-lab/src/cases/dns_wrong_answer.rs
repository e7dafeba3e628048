//! The name server has an old address for the name, which nobody has any more.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "dns-wrong-answer",
    title: "the name server has an address nobody has",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "db.example.test:8080"] },
    victim: Victim {
        node: "client",
        target: "tcp://db.example.test:8080",
        sees: &["connect timeout", "connect EHOSTUNREACH"],
    },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.serve("server", "named", "dns", &["203.0.113.2:53", "db.example.test=203.0.113.99"])?;
    let client = lab.node("client")?;
    client.write_etc("resolv.conf", "options timeout:1 attempts:1\nnameserver 203.0.113.2\n")?;
    Ok(Broken::by("neigh-unresolved", locus::neighbour("eth0", "203.0.113.99")).heal(|lab| {
        lab.stop("named")?;
        lab.serve("server", "named", "dns", &["203.0.113.2:53", "db.example.test=203.0.113.2"]).map(drop)
    }))
}
