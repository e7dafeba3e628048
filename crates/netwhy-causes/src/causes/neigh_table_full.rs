//! # The neighbour table is full
//!
//! ## What you see
//! New destinations on the link cannot be reached; sending fails with ENOBUFS or hangs. The kernel log says "neighbor
//! table overflow".
//!
//! ## What happens
//! The table of one family holds as many entries as gc_thresh3 allows and none could be thrown away. It is one table for
//! the whole machine: the entries of every namespace and container count.
//!
//! ## How netwhy knows
//! The table's `table_fulls` rose in the window (RTM_GETNEIGHTBL) and the next hop has no valid entry.
//!
//! ## Look-alikes
//! A next hop that does not answer (neigh-unresolved): the table has room, requests leave.
//!
//! ## What to do
//! Raise gc_thresh1, 2 and 3 in the initial namespace; look for a scan of a large subnet or a flat network that is too
//! large.
//!
//! ## References
//! Documentation/networking/ip-sysctl.rst (neigh/default/gc_thresh3); net/core/neighbour.c (neigh_alloc).

use netwhy_facts::neigh::NeighTables;
use netwhy_facts::question::Scenario;
use netwhy_facts::{Family, Locus, Role};

use crate::case::{Case, Fate};
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "neigh-table-full",
    title: "the neighbour table is full",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound, Role::Transit],
    layer: Layer::Neighbour,
    scope: Scope::FailedFlow,
    needs: &["neigh-tables", "neighbours", "links", "attempts", "capture", "addresses"],
    explains: &["neigh-unresolved"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let family = Family::of(&case.flow.dst);
    let Some(table) =
        case.facts.latest::<NeighTables>().value().and_then(|t| t.0.iter().find(|t| t.family == family))
    else {
        return Verdict::Silent;
    };
    let before = case
        .facts
        .get::<NeighTables>()
        .value()
        .and_then(|t| t.0.iter().find(|t| t.family == family))
        .map_or(table.table_fulls, |t| t.table_fulls);
    let fulls = table.table_fulls.saturating_sub(before);
    let full = table.gc_thresh3 > 0 && table.entries >= table.gc_thresh3;
    if fulls == 0 && !full {
        return Verdict::Silent;
    }
    // A next hop that has its entry does not need a new one.
    if case.hops().iter().any(|hop| case.entry(hop).is_some_and(|n| n.state.is_valid())) {
        return Verdict::Silent;
    }
    let v = if family == Family::Inet { "ipv4" } else { "ipv6" };
    let name = format!("net.{v}.neigh.default.gc_thresh3");
    let enobufs = case.errno() == Some("ENOBUFS");
    let nothing_left = case.seen.known && case.seen.requests_out == 0 && case.fate() == Fate::Fails;
    let raised = u64::from(table.gc_thresh3).saturating_mul(4);
    Finding::new(
        Locus::Sysctl { name: name.clone(), value: table.gc_thresh3.to_string() },
        format!(
            "the neighbour table of {v} holds {} entries of at most {}, so the next hop of {} cannot be entered",
            table.entries,
            table.gc_thresh3,
            case.flow.target()
        ),
    )
    .evidence(
        Evidence::new(
            "neigh-table",
            format!("{} entries, gc_thresh3 {}, refused {fulls} times in the window", table.entries, table.gc_thresh3),
            "RTM_GETNEIGHTBL",
        )
        .value(serde_json::json!({"entries": table.entries, "gc_thresh3": table.gc_thresh3, "table_fulls": fulls}))
        .command("ip ntable show; cat /proc/net/stat/arp_cache"),
    )
    .maybe(case.ev_attempt())
    .maybe(case.ev_capture())
    .fix(Fix::run(
        "allow more neighbours (in the initial namespace)",
        format!("sysctl -w {name}={raised}"),
        format!("sysctl -w {name}={}", table.gc_thresh3),
    ))
    .verify(case.ask_again())
    .proven_if(fulls > 0 && (enobufs || nothing_left))
}

#[cfg(test)]
mod tests {
    use netwhy_facts::Reading;
    use netwhy_facts::neigh::{NeighTable, Nud};

    use super::*;
    use crate::testing::*;

    fn table(entries: u32, fulls: u64) -> NeighTables {
        NeighTables(vec![NeighTable {
            family: Family::Inet,
            entries,
            gc_thresh1: 128,
            gc_thresh2: 512,
            gc_thresh3: 1024,
            res_failed: 0,
            unres_discards: Reading::NotAsked,
            table_fulls: fulls,
            forced_gc_runs: 0,
        }])
    }
    fn client() -> Scene {
        Scene::client("203.0.113.2", 80).toward("198.51.100.1").with(table(1024, 10))
    }

    #[test]
    fn a_refused_entry_and_enobufs_prove_it() {
        let f = proven(client().after(table(1024, 12)).errno("ENOBUFS", 0).judge(&CAUSE));
        assert_eq!(f.fix[0].command, "sysctl -w net.ipv4.neigh.default.gc_thresh3=4096");
        proven(client().after(table(1024, 12)).timeout(3000).captured().judge(&CAUSE));
    }

    #[test]
    fn a_full_table_alone_is_consistent() {
        consistent(client().after(table(1024, 10)).timeout(3000).judge(&CAUSE));
    }

    #[test]
    fn room_or_a_next_hop_that_is_known_make_it_innocent() {
        silent(client().after(table(100, 10)).timeout(3000).judge(&CAUSE));
        let known = vec![neighbour("198.51.100.1", Nud::Reachable, None)];
        silent(client().after(table(1024, 12)).neighbours(known).timeout(3000).judge(&CAUSE));
    }
}
