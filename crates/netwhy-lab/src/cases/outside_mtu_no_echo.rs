//! As outside-mtu-blackhole, and echo is filtered: only connections with small segments tell.

use crate::case::{Ask, Broken, Case, Victim};
use crate::certificates::{Authority, Wish};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "outside-mtu-no-echo",
    title: "outside: large packets vanish and echo is filtered",
    topology: Topology::ClientRouterServer,
    ask: Ask { node: "client", args: &["connect", "tls://web.example.test:8443"] },
    victim: Victim { node: "client", target: "tls://web.example.test:8443", sees: &["tls timeout"] },
    fault,
    ruled_out: &[],
    budget_ms: 6000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("client")?.write_etc("hosts", "127.0.0.1\tlocalhost\n203.0.113.2\tweb.example.test\n")?;
    let ca = Authority::new("Lab Root")?;
    lab.trust(&ca)?;
    let middle = ca.intermediate("Lab Intermediate")?;
    let wish = Wish { name: "web.example.test", years: (2024, 2100) };
    let (chain, key) = lab.issue(&middle, wish, &[&middle, &ca, &ca])?;
    lab.serve("server", "tls", "tls", &["[::]:8443", &chain, &key])?;
    lab.node("server")?.link_single_segments("eth0")?;
    let router = lab.node("router")?;
    router.link_mtu("eth1", 1300)?;
    Nft::new(Table::Inet, "filter")
        .base("forward", Hook::Forward, 0, Policy::Accept)
        .rule("forward", |r| r.icmp_type(8).drop())
        .base("output", Hook::Output, 0, Policy::Accept)
        .rule("output", |r| r.icmp_type(3).drop())
        .commit(router)?;
    Ok(Broken::outside("mtu-blackhole"))
}
