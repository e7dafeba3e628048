//! The server has rules that drop others, a full queue on another port, and its service works.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::ipt::{IptRule, Target};
use netwhy_change::nft::{Hook, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "control-decoys-inbound",
    title: "healthy on a server among drop rules for others",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &[] },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let server = lab.node("server")?;
    Nft::new(Table::Inet, "filter")
        .base("input", Hook::Input, 0, Policy::Drop)
        .rule("input", |r| r.ct_state(1).drop())
        .rule("input", |r| r.ct_state(2 | 4).accept())
        .rule("input", |r| r.saddr("203.0.113.0/28").tcp_dport(8080).accept())
        .rule("input", |r| r.tcp_dport(8080).counter().drop())
        .commit(server)?;
    server.ipt_insert("iptables", "filter", "INPUT", None, &IptRule::new(Target::Drop).tcp_dport(9090))?;
    lab.serve("server", "stuck", "never-accept", &["[::]:9091,backlog=1"])?;
    Ok(Broken::healthy())
}
