//! An input rule drops the SYN, and the service listens on loopback only.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "two-input-and-loopback",
    title: "two faults: input rule and loopback listener",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &[],
    budget_ms: 6000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.stop("web")?;
    let pid = lab.serve("server", "web", "echo", &["tcp://127.0.0.1:8080"])?;
    let handle = Nft::new(Table::Inet, "filter")
        .base("input", Hook::Input, 0, Policy::Accept)
        .rule("input", |r| r.iif("eth0").tcp_dport(8080).counter().drop())
        .commit_last(lab.node("server")?)?;
    Ok(Broken::by("fw-drop-inbound", locus::nft_rule(Table::Inet, "filter", "input", handle))
        .and("svc-bound-elsewhere", locus::socket("127.0.0.1:8080", pid))
        .heal(|lab| {
            lab.node("server")?.nft_delete_table(Table::Inet, "filter")?;
            lab.stop("web")?;
            lab.serve("server", "web", "echo", &["tcp://[::]:8080"]).map(drop)
        }))
}
