//! Connection tracking: `/proc/sys/net/netfilter`, per-CPU statistics, and the entries of one flow over
//! ctnetlink (CAP_NET_ADMIN).
//!
//! An entry is found by its exact tuple at once, however large the table. Without the source port the kernel
//! is given a filter: it still passes over the whole table, twice (some 0.2 us an entry and pass), but sends
//! only what fits. So ask with the source port where there is one: after the attempt. Only `listing` reads the
//! table whole, as a stream.

mod filter;
mod listing;
mod message;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::path::Path;

use netwhy_facts::conntrack::{Conntrack, CtEntries, CtEntry, CtStats, CtTuple};
use netwhy_facts::nft::{Expr, Nft};
use netwhy_facts::xtables::{XtMatch, XtRule, XtTarget, Xtables};
use netwhy_facts::{Family, Flow, Proto, Reading};
use netwhy_sys::netlink::{Protocol, Socket};
use netwhy_wire::netlink::Builder;

pub use self::filter::{CtFilter, CtNat, CtSide};
pub use self::listing::{CtEvent, CtSeen, CtTable};
use self::message::{CTA_TUPLE_ORIG, CTA_TUPLE_REPLY, part};
pub use self::message::{cpu_stats, entry, expectation, listed, stats};

use crate::collector::{Collector, read_text};
use crate::error::CollectError;
use crate::kernel::CTNETLINK;

/// `NFNL_SUBSYS_CTNETLINK << 8`.
const SUBSYSTEM: u16 = 1 << 8;
const CT_GET: u16 = SUBSYSTEM | 1;
const GET_STATS_CPU: u16 = SUBSYSTEM | 4;

/// Entries kept of one flow.
const MAX_ENTRIES: usize = 256;
/// Entries taken from the kernel in one listing. Before 5.8 it ignores the filter and sends everything.
const MAX_RECEIVED: u64 = 20_000;
/// Beyond this many entries even a filtered pass over the table takes the kernel too long.
const MAX_PASSED: u64 = 1_000_000;

impl Collector {
    /// The table as a whole.
    pub fn conntrack(&self) -> Reading<Conntrack> {
        Self::reading("/proc/sys/net/netfilter, CTA_STATS_*", "read access to /proc/sys", || {
            let (count, max, buckets, settings) = self.inside(|| self.conntrack_settings())??;
            let stats = match self.stats_by_netlink() {
                Ok(stats) => stats,
                // Everyone may read the file.
                Err(_) => parse_stats(&self.inside(|| read_text(&self.proc_net("stat/nf_conntrack")))??)?,
            };
            let active = count > 0 || stats != CtStats::default() || self.is_tracking_asked_for();
            Ok(Conntrack { active, count, max, buckets, stats, settings })
        })
    }

    fn conntrack_settings(&self) -> Result<(u32, u32, u32, BTreeMap<String, i64>), CollectError> {
        let directory = self.proc("sys/net/netfilter");
        let number = |name: &str| -> Result<u32, CollectError> {
            let text = read_text(&directory.join(name))?;
            text.trim()
                .parse()
                .map_err(|error| CollectError::malformed("nf_conntrack setting", format!("{name}: {error}")))
        };
        let count = number("nf_conntrack_count").map_err(|error| match error {
            CollectError::File { errno, .. } if errno.name() == "ENOENT" => {
                CollectError::Missing("connection tracking is not in this kernel, or not loaded".into())
            }
            other => other,
        })?;
        Ok((count, number("nf_conntrack_max")?, number("nf_conntrack_buckets")?, settings(&directory)))
    }

    fn stats_by_netlink(&self) -> Result<CtStats, CollectError> {
        self.require(CTNETLINK)?;
        self.netlink(Protocol::Netfilter, |socket| {
            let per_cpu = socket.dump_vec(GET_STATS_CPU, 0, &[0, 0, 0, 0])?;
            Ok(per_cpu.iter().fold(CtStats::default(), |sum, reply| add(sum, stats(&reply.payload))))
        })
    }

    /// Tracking works in a namespace once a rule there needs it. With no entry to show for it, the rules do.
    fn is_tracking_asked_for(&self) -> bool {
        self.nft_bounded(0).value().is_some_and(needs_tracking)
            || self.xtables().value().is_some_and(legacy_needs_tracking)
    }

    /// The entries of a flow, as it is seen before and behind translations.
    ///
    /// With addresses and source port known: the entries that hold the tuple or its mirror, found at once.
    /// If there are none, or the source port is not known: those whose original destination is the flow's,
    /// or which answer from it (translated to it).
    pub fn ct_entries(&self, flow: &Flow) -> Reading<CtEntries> {
        Self::reading("IPCTNL_MSG_CT_GET", "CAP_NET_ADMIN", || {
            self.require(CTNETLINK)?;
            let count = self.inside(|| read_text(&self.proc("sys/net/netfilter/nf_conntrack_count")))?;
            let count = count.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
            // A listing that goes past its bound is given up, so it does not go over the shared socket.
            self.netlink(Protocol::Netfilter, |_| Ok(()))?;
            let open = || Ok(self.inside(|| Socket::open(Protocol::Netfilter))??);
            find(open, flow, count)
        })
    }
}

fn settings(directory: &Path) -> BTreeMap<String, i64> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(short) = name.to_str().and_then(|name| name.strip_prefix("nf_conntrack_")) else { continue };
        if matches!(short, "count" | "max" | "buckets") {
            continue;
        }
        if let Some(value) = read_text(&entry.path()).ok().and_then(|text| text.trim().parse().ok()) {
            found.insert(short.to_owned(), value);
        }
    }
    found
}

fn add(a: CtStats, b: CtStats) -> CtStats {
    CtStats {
        found: a.found.saturating_add(b.found),
        invalid: a.invalid.saturating_add(b.invalid),
        insert_failed: a.insert_failed.saturating_add(b.insert_failed),
        drop: a.drop.saturating_add(b.drop),
        early_drop: a.early_drop.saturating_add(b.early_drop),
        error: a.error.saturating_add(b.error),
        search_restart: a.search_restart.saturating_add(b.search_restart),
        clash_resolve: a.clash_resolve.saturating_add(b.clash_resolve),
        chaintoolong: a.chaintoolong.saturating_add(b.chaintoolong),
    }
}

/// `/proc/net/stat/nf_conntrack`: a heading, then a line of hexadecimal numbers for each CPU.
pub fn parse_stats(text: &str) -> Result<CtStats, CollectError> {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap_or("").split_ascii_whitespace().collect();
    if !names.contains(&"insert_failed") {
        return Err(CollectError::malformed(
            "/proc/net/stat/nf_conntrack",
            "its heading lacks insert_failed",
        ));
    }
    Ok(lines.fold(CtStats::default(), |sum, line| {
        let values: Vec<&str> = line.split_ascii_whitespace().collect();
        let column = |name: &str| {
            let word = names.iter().position(|one| *one == name).and_then(|at| values.get(at));
            word.and_then(|word| u64::from_str_radix(word, 16).ok()).unwrap_or(0)
        };
        let one = CtStats {
            found: column("found"),
            invalid: column("invalid"),
            insert_failed: column("insert_failed"),
            drop: column("drop"),
            early_drop: column("early_drop"),
            error: column("icmp_error"),
            search_restart: column("search_restart"),
            clash_resolve: column("clashres"),
            chaintoolong: column("chainlength"),
        };
        add(sum, one)
    }))
}

/// Whether a legacy rule or table makes the kernel track connections.
fn legacy_needs_tracking(xtables: &Xtables) -> bool {
    let asks = |rule: &XtRule| {
        rule.matches.iter().any(|one| {
            matches!(
                one,
                XtMatch::Conntrack { .. }
                    | XtMatch::State { .. }
                    | XtMatch::Connmark { .. }
                    | XtMatch::Connlimit { .. }
            )
        }) || matches!(rule.target, XtTarget::Connmark { .. } | XtTarget::Ct { .. })
    };
    xtables.0.iter().any(|table| {
        let rules = table.chains.value().into_iter().flatten().flat_map(|chain| &chain.rules);
        table.name == "nat" || rules.into_iter().any(asks)
    })
}

/// Whether a rule uses what makes the kernel track connections.
fn needs_tracking(nft: &Nft) -> bool {
    let asks = |expr: &Expr| match expr {
        Expr::Ct { .. } | Expr::CtSet { .. } | Expr::Connlimit { .. } | Expr::Nat { .. } => true,
        Expr::Masq { .. } | Expr::Redir { .. } | Expr::Synproxy { .. } | Expr::FlowOffload { .. } => true,
        // Of iptables-nft: the matches and targets that need it have these names.
        Expr::Match { name, .. } => {
            matches!(name.as_str(), "conntrack" | "state" | "connmark" | "connlimit" | "connbytes")
        }
        Expr::Target { name, .. } => {
            matches!(
                name.as_str(),
                "SNAT" | "DNAT" | "MASQUERADE" | "REDIRECT" | "NETMAP" | "CONNMARK" | "CT"
            )
        }
        _ => false,
    };
    nft.rules.iter().any(|rule| rule.exprs.iter().any(asks))
        || nft.chains.iter().any(|chain| chain.chain_type.as_deref() == Some("nat"))
}

fn find(
    open: impl Fn() -> Result<Socket, CollectError>,
    flow: &Flow,
    count: u64,
) -> Result<CtEntries, CollectError> {
    let mut found = CtEntries { complete: true, ..CtEntries::default() };
    let mut socket = open()?;
    for tuple in exact_tuples(flow) {
        found.examined += 1;
        if let Some(entry) = get(&mut socket, &tuple)? {
            push(&mut found, entry);
        }
    }
    // Translated on its way, the flow has the same entry; a second look would only cost time.
    if !found.entries.is_empty() || count == 0 {
        return Ok(found);
    }
    if count > MAX_PASSED {
        found.complete = false;
        return Ok(found);
    }
    for wanted in views(flow) {
        let mut received = 0;
        let matched = |entry: &CtEntry| wanted.matches(entry);
        socket = match list(socket, wanted.request()?, matched, &mut found, &mut received)? {
            Some(socket) => socket,
            None => open()?,
        };
        found.examined += count.max(received);
    }
    Ok(found)
}

fn push(found: &mut CtEntries, entry: CtEntry) {
    let same = |one: &CtEntry| one.id == entry.id && one.orig == entry.orig && one.zone == entry.zone;
    if found.entries.iter().any(same) {
        return;
    }
    if found.entries.len() < MAX_ENTRIES {
        found.entries.push(entry);
    } else {
        found.complete = false;
    }
}

/// The flow's tuple and its mirror, when everything in it is known.
fn exact_tuples(flow: &Flow) -> Vec<CtTuple> {
    let (Some(src), Some(sport)) = (flow.src, flow.sport) else { return Vec::new() };
    if Family::of(&src) != flow.family() {
        return Vec::new();
    }
    let (dst, proto) = (flow.dst, flow.proto_number());
    // Echo: the identifier stands in both, request (8, 128) and reply (0, 129) have types of their own.
    let (dport, back) = match (flow.proto, flow.family()) {
        (Proto::Icmp, Family::Inet) => (8 << 8, 0),
        (Proto::Icmp, Family::Inet6) => (128 << 8, 129 << 8),
        _ => (flow.dport, flow.dport),
    };
    let there = CtTuple { src, dst, proto, sport, dport };
    let back = match flow.proto {
        Proto::Icmp => CtTuple { src: dst, dst: src, proto, sport, dport: back },
        _ => CtTuple { src: dst, dst: src, proto, sport: back, dport: sport },
    };
    vec![there, back]
}

/// Entries wanted from a listing: one direction's tuple, compared in some parts.
struct View {
    direction: u16,
    tuple: CtTuple,
    parts: u32,
}

impl View {
    fn request(&self) -> Result<Vec<u8>, CollectError> {
        // The kernel compares IPv6 addresses the wrong way round (seen on 6.18: it lists the entries whose
        // address differs), so it is only asked about the rest; `matches` does what is left.
        let parts = match Family::of(&self.tuple.dst) {
            Family::Inet => self.parts,
            Family::Inet6 => self.parts & !(part::SRC | part::DST),
        };
        Ok(message::filtered(self.direction, &self.tuple, parts).finish()?)
    }

    /// The same in user space: before 5.8 the kernel sends everything.
    fn matches(&self, entry: &CtEntry) -> bool {
        let own = if self.direction == CTA_TUPLE_ORIG { &entry.orig } else { &entry.reply };
        let asked = |part: u32| self.parts & part != 0;
        (!asked(part::SRC) || own.src == self.tuple.src)
            && (!asked(part::DST) || own.dst == self.tuple.dst)
            && (!asked(part::PROTO) || own.proto == self.tuple.proto)
            && (!asked(part::SPORT) || own.sport == self.tuple.sport)
            && (!asked(part::DPORT) || own.dport == self.tuple.dport)
    }
}

/// The destination as clients address it, and as it answers: the second finds what was translated to it.
fn views(flow: &Flow) -> [View; 2] {
    let nowhere: IpAddr = match flow.family() {
        Family::Inet => [0; 4].into(),
        Family::Inet6 => [0; 16].into(),
    };
    let other = flow.src.filter(|src| Family::of(src) == flow.family());
    let far = other.unwrap_or(nowhere);
    let (proto, port) = (flow.proto_number(), flow.dport);
    let (dport, sport) = if flow.proto == Proto::Icmp { (0, 0) } else { (part::DPORT, part::SPORT) };
    let (from, to) = if other.is_some() { (part::SRC, part::DST) } else { (0, 0) };
    [
        View {
            direction: CTA_TUPLE_ORIG,
            tuple: CtTuple { src: far, dst: flow.dst, proto, sport: 0, dport: port },
            parts: part::DST | part::PROTO | dport | from,
        },
        View {
            direction: CTA_TUPLE_REPLY,
            tuple: CtTuple { src: flow.dst, dst: far, proto, sport: port, dport: 0 },
            parts: part::SRC | part::PROTO | sport | to,
        },
    ]
}

fn get(socket: &mut Socket, tuple: &CtTuple) -> Result<Option<CtEntry>, CollectError> {
    let request: Builder = message::exact(tuple);
    match socket.request(CT_GET, 0, &request.finish()?) {
        Ok(replies) => Ok(replies.first().and_then(|reply| entry(&reply.payload))),
        Err(error) if error.errno().is_some_and(|errno| errno.name() == "ENOENT") => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Adds what matches; gives the socket back unless the listing was given up.
fn list(
    mut socket: Socket,
    request: Vec<u8>,
    matched: impl Fn(&CtEntry) -> bool,
    found: &mut CtEntries,
    received: &mut u64,
) -> Result<Option<Socket>, CollectError> {
    let mut whole = true;
    socket.dump(CT_GET, 0, &request, |_, payload| {
        *received += 1;
        if let Some(entry) = entry(payload).filter(&matched) {
            push(found, entry);
        }
        whole = *received < MAX_RECEIVED;
        if whole { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    found.complete &= whole;
    Ok(whole.then_some(socket))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{damage, recorded};

    const RECORDED: &str = include_str!("../fixtures/conntrack.txt");

    #[test]
    fn recorded_answers_decode() {
        let all = recorded(RECORDED);
        let entries: Vec<CtEntry> =
            all.iter().filter(|(kind, _)| kind == "entry").map(|(_, bytes)| entry(bytes).unwrap()).collect();
        let tcp = entries.iter().find(|one| one.orig.proto == 6).unwrap();
        assert_eq!((tcp.orig.dst.to_string().as_str(), tcp.orig.dport), ("127.0.0.9", 80));
        assert_eq!((tcp.reply.src.to_string().as_str(), tcp.reply.sport), ("127.0.0.1", 8080));
        assert_eq!(
            (tcp.reply.dst.to_string().as_str(), tcp.tcp_state.as_deref()),
            ("127.0.0.5", Some("ESTABLISHED"))
        );
        assert!(tcp.is_dnat() && tcp.is_snat() && tcp.packets.is_some() && tcp.mark == 5);
        for (proto, there, back) in [(1, 8 << 8, 0), (58, 128 << 8, 129 << 8)] {
            let echo = entries.iter().find(|one| one.orig.proto == proto).unwrap();
            assert_eq!((echo.orig.dport, echo.reply.dport), (there, back));
            assert_eq!(echo.orig.sport, echo.reply.sport);
        }
    }

    #[test]
    fn damaged_answers_end_without_panic() {
        for (_, bytes) in recorded(RECORDED) {
            damage(&bytes, 1000, |broken| {
                let _ = (entry(broken), listed(broken), expectation(broken), cpu_stats(broken));
                let _ = stats(broken);
            });
        }
        let largest = "found insert_failed\nffffffffffffffff 0\n1 1\n";
        for text in ["", "entries insert_failed", "insert_failed found\nzz\n1 2 3 4\n", largest] {
            let _ = parse_stats(text);
        }
    }

    #[test]
    fn statistics_are_read_by_the_names_in_the_heading() {
        let text =
            "entries found invalid insert_failed drop clashres chainlength\n0 0a 1 0 2 3 4\n0 1 1 0 0 0 0\n";
        let sum = parse_stats(text).unwrap();
        assert_eq!((sum.found, sum.invalid, sum.drop, sum.clash_resolve, sum.chaintoolong), (11, 2, 2, 3, 4));
        assert!(parse_stats("something else\n").is_err());
    }

    #[test]
    fn the_mirror_of_an_echo_request_is_its_reply() {
        let flow = Flow {
            proto: Proto::Icmp,
            src: Some("192.0.2.1".parse().unwrap()),
            sport: Some(77),
            dst: "192.0.2.2".parse().unwrap(),
            dport: 0,
            mark: 0,
            uid: None,
            dev: None,
        };
        let tuples = exact_tuples(&flow);
        assert_eq!((tuples[0].dport, tuples[0].sport), (0x800, 77));
        assert_eq!((tuples[1].src, tuples[1].dport, tuples[1].sport), (flow.dst, 0, 77));
        assert!(exact_tuples(&Flow { sport: None, ..flow }).is_empty());
    }
}
