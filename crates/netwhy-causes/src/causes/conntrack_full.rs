//! # The connection tracking table is full
//!
//! ## What you see
//! New connections hang or a UDP send fails with EPERM, while established ones work. The kernel log says
//! "nf_conntrack: table full, dropping packet".
//!
//! ## What happens
//! Tracking cannot make an entry for the new flow, because the number of entries of this namespace has reached
//! nf_conntrack_max, and drops the packet.
//!
//! ## How netwhy knows
//! The count stands at the limit, and tracking's `drop` statistic rose while the attempt ran, `insert_failed` did not.
//!
//! ## Look-alikes
//! No source port left for NAT (snat-port-exhausted): `drop` and `insert_failed` rise together. A rule that drops: its
//! counter, and no statistic of tracking.
//!
//! ## What to do
//! Find who fills the table; raise nf_conntrack_max together with the hash size; do not track what need not be tracked.
//!
//! ## References
//! Documentation/networking/nf_conntrack-sysctl.rst; net/netfilter/nf_conntrack_core.c (__nf_conntrack_alloc).

use netwhy_facts::conntrack::Conntrack;
use netwhy_facts::host::KernelLog;
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Reading, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "conntrack-full",
    title: "the connection tracking table is full",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound, Role::Transit],
    layer: Layer::Firewall,
    scope: Scope::FailedFlow,
    needs: &["conntrack", "kernel-log", "attempts", "capture", "mib", "addresses"],
    explains: &["path-or-remote-drop"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let before = match case.facts.get::<Conntrack>() {
        Reading::Known { value, .. } => value,
        absent if case.vanished().is_some() => {
            return absent.absence().map_or(Verdict::Silent, |a| {
                Verdict::unknown("whether the connection tracking table is full", a)
            });
        }
        _ => return Verdict::Silent,
    };
    let now = case.facts.latest::<Conntrack>().value().unwrap_or(before);
    let read_twice = case.facts.after::<Conntrack>().is_known();
    let drop = now.stats.drop.saturating_sub(before.stats.drop);
    let insert_failed = now.stats.insert_failed.saturating_sub(before.stats.insert_failed);
    let stats = || {
        Evidence::new(
            "conntrack:drop",
            format!(
                "tracking dropped {drop} packets for want of an entry, {insert_failed} insertions failed"
            ),
            "ctnetlink stats",
        )
        .value(serde_json::json!({"drop": drop, "insert_failed": insert_failed}))
        .window(case.window_us().unwrap_or(0))
        .command("conntrack -S")
    };
    let full = before.max > 0 && before.count.max(now.count) >= before.max;
    if !full {
        if read_twice && before.active && case.vanished().is_some() && (drop == 0 || insert_failed >= drop) {
            let how = match drop {
                0 => "tracking dropped nothing".to_string(),
                n => format!("all {n} packets that tracking dropped were insertions that failed"),
            };
            return Verdict::ruled_out(
                format!("{} of {} entries are in use and {how}", now.count, now.max),
                vec![stats()],
            );
        }
        return Verdict::Silent;
    }
    if read_twice && (drop == 0 || insert_failed >= drop) {
        let because = match drop {
            0 => "the table is at its limit, but tracking dropped nothing in the window".to_string(),
            _ => "tracking's drops are failed insertions, not a full table".to_string(),
        };
        return Verdict::ruled_out(because, vec![stats()]);
    }
    let (count, max) = (now.count.max(before.count), before.max);
    let larger = u64::from(max) * 2;
    Finding::new(
        Locus::Sysctl { name: "net.netfilter.nf_conntrack_max".into(), value: max.to_string() },
        format!("the connection tracking table is full ({count} of {max} entries): new flows are dropped"),
    )
    .evidence(
        Evidence::new("conntrack:count", format!("{count} entries, limit {max}"), "nf_conntrack_count")
            .value(serde_json::json!({"count": count, "max": max}))
            .command("sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max"),
    )
    .evidence(stats())
    .maybe(ev_log(case))
    .maybe(case.ev_attempt())
    .maybe(case.ev_capture())
    .fix(
        Fix::run(
            "raise the limit (each entry takes about 320 bytes of kernel memory; in the initial namespace)",
            format!("sysctl -w net.netfilter.nf_conntrack_max={larger}"),
            format!("sysctl -w net.netfilter.nf_conntrack_max={max}"),
        )
        .risk("raise nf_conntrack_buckets with it, or lookups become slow"),
    )
    .fix(Fix::act(
        "find who fills it: conntrack -L | awk '{print $4, $5}' | sort | uniq -c | sort -rn | head",
    ))
    .verify("conntrack -S")
    .proven_if(read_twice && drop > insert_failed && case.vanished().is_some())
}

fn ev_log(case: &Case<'_>) -> Option<Evidence> {
    let log = case.facts.latest::<KernelLog>().value()?;
    let (_, _, text) = log.lines.iter().find(|(_, _, text)| text.contains("table full"))?;
    Some(
        Evidence::new("kernel-log", format!("the kernel log says: {text}"), "/dev/kmsg")
            .value(text.clone())
            .command("dmesg | grep nf_conntrack"),
    )
}

#[cfg(test)]
mod tests {
    use netwhy_facts::conntrack::CtStats;

    use super::*;
    use crate::testing::*;

    fn table(count: u32, drop: u64, insert_failed: u64) -> Conntrack {
        Conntrack {
            active: true,
            count,
            max: 100,
            buckets: 50,
            stats: CtStats { drop, insert_failed, ..CtStats::default() },
            settings: Default::default(),
        }
    }

    #[test]
    fn drops_at_the_limit_prove_it() {
        let f = proven(
            Scene::client_udp("203.0.113.2", 53)
                .with(table(100, 5, 0))
                .after(table(100, 6, 0))
                .errno("EPERM", 0)
                .judge(&CAUSE),
        );
        assert!(f.summary.contains("100 of 100"), "{}", f.summary);
        let router =
            Scene::transit("203.0.113.2", 80).with(table(100, 5, 0)).after(table(100, 6, 0)).request_in();
        proven(router.judge(&CAUSE));
    }

    #[test]
    fn old_drops_prove_nothing() {
        let scene =
            Scene::transit("203.0.113.2", 80).with(table(100, 5, 0)).after(table(100, 5, 0)).request_in();
        assert!(ruled_out(scene.judge(&CAUSE)).contains("dropped nothing"));
    }

    #[test]
    fn failed_insertions_are_the_look_alike() {
        let scene =
            Scene::transit("203.0.113.2", 80).with(table(100, 5, 0)).after(table(100, 7, 2)).request_in();
        assert!(ruled_out(scene.judge(&CAUSE)).contains("failed insertions"));
    }

    #[test]
    fn room_in_the_table_rules_it_out() {
        let scene =
            Scene::transit("203.0.113.2", 80).with(table(10, 5, 0)).after(table(11, 5, 0)).request_in();
        assert!(ruled_out(scene.judge(&CAUSE)).contains("11 of 100"));
    }

    #[test]
    fn failed_insertions_with_room_in_the_table_rule_it_out() {
        let scene =
            Scene::transit("203.0.113.2", 80).with(table(10, 5, 0)).after(table(11, 7, 2)).request_in();
        assert!(ruled_out(scene.judge(&CAUSE)).contains("insertions that failed"));
    }

    #[test]
    fn a_flow_that_passes_is_not_asked_about() {
        let scene = Scene::transit("203.0.113.2", 80).with(table(10, 5, 0)).after(table(11, 5, 0));
        silent(scene.request_in().request_out().judge(&CAUSE));
    }

    #[test]
    fn an_unreadable_table_is_unknown() {
        unknown(
            Scene::transit("203.0.113.2", 80).denied::<Conntrack>("CAP_NET_ADMIN").request_in().judge(&CAUSE),
        );
    }
}
