//! Netfilter hooks: what hangs at a hook, in order of priority, and running it.

use netwhy_facts::Locus;
use netwhy_facts::bpf::BpfAttached;
use netwhy_facts::nft::{Expr, NftChain, NftFamily};
use netwhy_facts::xtables::{XtFamily, XtMatch, XtTable, XtTarget};

use crate::path::{Action, End, Stage};
use crate::skb::{CtInfo, CtSlot, Skb};
use crate::walk::Walk;

pub(crate) const PREROUTING: u32 = 0;
pub(crate) const INPUT: u32 = 1;
pub(crate) const FORWARD: u32 = 2;
pub(crate) const OUTPUT: u32 = 3;
pub(crate) const POSTROUTING: u32 = 4;

/// Where rules are run: hook number, devices.
#[derive(Debug, Clone)]
pub(crate) struct Hook {
    /// NF_INET_*, NF_NETDEV_* or NF_BR_*.
    pub(crate) num: u32,
    pub(crate) stage: Stage,
    pub(crate) iif: Option<u32>,
    pub(crate) oif: Option<u32>,
    /// The packet's length counts the link header (netdev egress).
    pub(crate) with_link_header: bool,
}

impl Hook {
    pub(crate) fn new(num: u32, iif: Option<u32>, oif: Option<u32>) -> Self {
        let stage = match num {
            PREROUTING => Stage::Prerouting,
            INPUT => Stage::Input,
            FORWARD => Stage::Forward,
            OUTPUT => Stage::Output,
            _ => Stage::Postrouting,
        };
        Self { num, stage, iif, oif, with_link_header: false }
    }
}

/// One thing hung at a hook.
enum Entry<'a> {
    Nft(&'a NftChain),
    Xt(&'a XtTable),
    Defrag,
    Track,
    Nat,
    Bpf(&'a BpfAttached),
}

/// Priority of a legacy table at a hook (NF_IP_PRI_*).
fn xt_priority(table: &str) -> i32 {
    match table {
        "raw" => -300,
        "mangle" => -150,
        "security" => 50,
        _ => 0,
    }
}

/// Hooks a legacy table has.
fn xt_hooked(table: &str, hook: u32) -> bool {
    match table {
        "raw" => matches!(hook, PREROUTING | OUTPUT),
        "mangle" => true,
        "filter" | "security" => matches!(hook, INPUT | FORWARD | OUTPUT),
        _ => false,
    }
}

/// Runs before and after a chain for what re-routing watches.
type Watched = (std::net::IpAddr, std::net::IpAddr, u32, u8);

fn watched(skb: &Skb) -> Watched {
    (skb.p.src, skb.p.dst, skb.p.mark, skb.p.tos)
}

impl<'a> Walk<'a, '_> {
    /// Whether a chain is live at an IP hook for this packet.
    fn nft_hooked(&self, chain: &NftChain, skb: &Skb, hook: u32) -> bool {
        let family = match chain.family {
            NftFamily::Inet => true,
            NftFamily::Ip => !skb.v6(),
            NftFamily::Ip6 => skb.v6(),
            _ => false,
        };
        family && chain.hook.as_ref().is_some_and(|h| h.num == hook) && !self.nft_dormant(chain)
    }

    pub(crate) fn nft_dormant(&self, chain: &NftChain) -> bool {
        self.w.nft.is_some_and(|n| {
            n.tables.iter().any(|t| t.family == chain.family && t.name == chain.table && t.is_dormant())
        })
    }

    fn nft_chains(&self) -> &'a [NftChain] {
        self.w.nft.map(|n| n.chains.as_slice()).unwrap_or_default()
    }

    fn xt_tables(&self, v6: bool) -> impl Iterator<Item = &'a XtTable> + use<'a> {
        let family = if v6 { XtFamily::Ip6tables } else { XtFamily::Iptables };
        self.w.xt.map(|x| x.0.as_slice()).unwrap_or_default().iter().filter(move |t| t.family == family)
    }

    /// Whether translation hooks exist for the family: some nat chain or the legacy nat table is there.
    pub(crate) fn nat_hooked(&self, v6: bool) -> bool {
        let nft = self.nft_chains().iter().any(|c| {
            c.chain_type.as_deref() == Some("nat")
                && c.hook.is_some()
                && match c.family {
                    NftFamily::Inet => true,
                    NftFamily::Ip => !v6,
                    NftFamily::Ip6 => v6,
                    _ => false,
                }
                && !self.nft_dormant(c)
        });
        nft || self.xt_tables(v6).any(|t| t.name == "nat")
    }

    /// Whether packets of the family are tracked: something asked for it.
    pub(crate) fn tracking(&self, v6: bool) -> bool {
        if self.w.conntrack.is_some_and(|c| c.active) && self.w.nft.is_none() {
            return true;
        }
        let wants = |e: &Expr| {
            matches!(
                e,
                Expr::Ct { .. }
                    | Expr::CtSet { .. }
                    | Expr::Nat { .. }
                    | Expr::Masq { .. }
                    | Expr::Redir { .. }
                    | Expr::Connlimit { .. }
                    | Expr::Synproxy { .. }
                    | Expr::FlowOffload { .. }
            ) || matches!(e, Expr::Objref { obj_type: 3 | 7 | 8 | 9, .. })
                || matches!(e, Expr::Match { name, .. } if matches!(name.as_str(), "conntrack" | "state" | "connmark" | "helper" | "connlimit" | "connbytes" | "connlabel" | "cluster"))
                || matches!(e, Expr::Target { name, .. } if matches!(name.as_str(), "CONNMARK" | "CT" | "MASQUERADE" | "DNAT" | "SNAT" | "REDIRECT" | "NETMAP" | "SYNPROXY"))
        };
        let nft = self.w.nft.is_some_and(|n| {
            n.rules.iter().any(|r| {
                let family = match r.family {
                    NftFamily::Inet => true,
                    NftFamily::Ip => !v6,
                    NftFamily::Ip6 => v6,
                    _ => false,
                };
                family
                    && r.exprs.iter().any(|e| match e {
                        Expr::Dynset { exprs, .. } => exprs.iter().any(wants),
                        e => wants(e),
                    })
            }) || n.chains.iter().any(|c| {
                c.chain_type.as_deref() == Some("nat")
                    && c.hook.is_some()
                    && !self.nft_dormant(c)
                    && (c.family == NftFamily::Inet || (c.family == NftFamily::Ip6) == v6)
            })
        });
        let legacy = self.xt_tables(v6).any(|t| {
            t.chains.value().is_some_and(|chains| {
                chains.iter().flat_map(|c| &c.rules).any(|r| {
                    r.matches.iter().any(|m| {
                        matches!(
                            m,
                            XtMatch::Conntrack { .. }
                                | XtMatch::State { .. }
                                | XtMatch::Connmark { .. }
                                | XtMatch::Connlimit { .. }
                        )
                    }) || matches!(
                        r.target,
                        XtTarget::Snat { .. }
                            | XtTarget::Dnat { .. }
                            | XtTarget::Masquerade { .. }
                            | XtTarget::Redirect { .. }
                            | XtTarget::Netmap { .. }
                            | XtTarget::Connmark { .. }
                            | XtTarget::Ct { .. }
                    )
                })
            })
        });
        nft || legacy
    }

    /// What hangs at an IP hook, in order.
    fn entries(&mut self, skb: &Skb, hook: u32, stage: Stage) -> Vec<Entry<'a>> {
        let mut list: Vec<(i32, Entry<'a>)> = Vec::new();
        if self.tracking(skb.v6()) && matches!(hook, PREROUTING | OUTPUT) {
            list.push((-400, Entry::Defrag));
            list.push((-200, Entry::Track));
        }
        let nat = if matches!(hook, PREROUTING | OUTPUT) { -100 } else { 100 };
        if hook != FORWARD && self.nat_hooked(skb.v6()) {
            list.push((nat, Entry::Nat));
        }
        let listed = self
            .nft_chains()
            .iter()
            .filter(|c| self.nft_hooked(c, skb, hook) && c.chain_type.as_deref() != Some("nat"))
            .collect();
        for chain in self.chains_in_order(listed, stage) {
            let priority = chain.hook.as_ref().map_or(0, |h| h.priority);
            list.push((priority, Entry::Nft(chain)));
        }
        for table in self.xt_tables(skb.v6()) {
            if xt_hooked(&table.name, hook) {
                list.push((xt_priority(&table.name), Entry::Xt(table)));
            }
        }
        for program in self.w.bpf.map(|b| b.0.as_slice()).unwrap_or_default() {
            if let Some((pf, num, priority)) = program.netfilter
                && num == hook
                && pf == if skb.v6() { 10 } else { 2 }
            {
                list.push((priority, Entry::Bpf(program)));
            }
        }
        let legacy_first = self.w.nft.is_some_and(|nft| nft.legacy_first);
        list.sort_by_key(|(p, entry)| (*p, legacy_first && !matches!(entry, Entry::Xt(_))));
        list.into_iter().map(|(_, e)| e).collect()
    }

    /// Runs an IP hook.
    pub(crate) fn run_hook(&mut self, skb: &mut Skb, hook: &Hook) -> Result<(), End> {
        for entry in self.entries(skb, hook.num, hook.stage) {
            match entry {
                Entry::Defrag => {}
                Entry::Track => self.track(skb, hook)?,
                Entry::Nat => {
                    self.nat_core(skb, hook)?;
                    if hook.num == OUTPUT && self.nat_moved(skb) {
                        self.route_again(skb)?;
                    }
                }
                Entry::Nft(chain) => {
                    let before = watched(skb);
                    self.nft_base_chain(skb, chain, hook)?;
                    if hook.num == OUTPUT
                        && chain.chain_type.as_deref() == Some("route")
                        && watched(skb) != before
                    {
                        self.route_again(skb)?;
                    }
                }
                Entry::Xt(table) => {
                    let before = watched(skb);
                    self.xt_table(skb, table, hook)?;
                    if hook.num == OUTPUT && table.name == "mangle" && watched(skb) != before {
                        self.route_again(skb)?;
                    }
                }
                Entry::Bpf(program) => self.bpf_seen(program, hook.stage, "netfilter", None),
            }
        }
        Ok(())
    }

    /// Records a BPF program that cannot be executed here.
    pub(crate) fn bpf_seen(&mut self, program: &BpfAttached, stage: Stage, hook: &str, dev: Option<String>) {
        let name = if program.name.is_empty() { "without a name".to_string() } else { program.name.clone() };
        self.assume(format!("BPF program {} ({name}) at {hook} lets the packet pass", program.prog_id));
        let locus = Locus::Bpf { hook: program.hook.clone(), dev, prog_id: program.prog_id, name };
        self.step(
            stage,
            format!("BPF program {} at {hook}, not executed", program.prog_id),
            Some(locus),
            Action::Pass,
        );
    }

    /// Runs the translation hook: the nat chains for a fresh entry, then the change of the packet.
    fn nat_core(&mut self, skb: &mut Skb, hook: &Hook) -> Result<(), End> {
        let manip = crate::nat::Manip::of_hook(hook.num);
        let CtSlot::Entry(conn) = &skb.ct else { return Ok(()) };
        if matches!(conn.info, CtInfo::New | CtInfo::Related) && !manip.done(conn) {
            let mut list: Vec<(i32, Entry<'a>)> = Vec::new();
            for chain in self.nft_chains().iter().rev() {
                if self.nft_hooked(chain, skb, hook.num) && chain.chain_type.as_deref() == Some("nat") {
                    list.push((chain.hook.as_ref().map_or(0, |h| h.priority), Entry::Nft(chain)));
                }
            }
            for table in self.xt_tables(skb.v6()).filter(|t| t.name == "nat") {
                list.push((if manip == crate::nat::Manip::Dst { -100 } else { 100 }, Entry::Xt(table)));
            }
            list.sort_by_key(|(p, _)| *p);
            for (_, entry) in list {
                match entry {
                    Entry::Nft(chain) => self.nft_base_chain(skb, chain, hook)?,
                    Entry::Xt(table) => self.xt_table(skb, table, hook)?,
                    _ => {}
                }
                if matches!(&skb.ct, CtSlot::Entry(c) if manip.done(c)) {
                    break;
                }
            }
            if let CtSlot::Entry(conn) = &mut skb.ct {
                manip.set_done(conn);
            }
        }
        self.nat_packet(skb, manip);
        Ok(())
    }
}
