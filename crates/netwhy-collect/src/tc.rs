//! Traffic control: qdiscs, classes and filters with their statistics.

mod action;
mod filter;
mod options;

use std::collections::BTreeMap;

use netwhy_facts::Reading;
use netwhy_facts::tc::{Qdisc, Tc, TcClass, TcFilter, TcStats};
use netwhy_sys::netlink::Protocol;
use netwhy_wire::netlink::{Attribute, Attributes};

#[cfg(test)]
mod tests;

pub use filter::decode_filter;

use crate::collector::Collector;
use crate::decode::{Decoded, header, structure};
use crate::error::CollectError;

const RTM_NEWQDISC: u16 = 36;
const RTM_GETQDISC: u16 = 38;
const RTM_NEWTCLASS: u16 = 40;
const RTM_GETTCLASS: u16 = 42;
const RTM_NEWTFILTER: u16 = 44;
const RTM_GETTFILTER: u16 = 46;
/// `struct tcmsg`.
const HEADER: usize = 20;
/// `TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)` and the same for egress.
const INGRESS: u32 = 0xffff_fff2;
const EGRESS: u32 = 0xffff_fff3;
/// `TCM_IFINDEX_MAGIC_BLOCK`: the message is about a block that several qdiscs share.
const BLOCK: u32 = 0xffff_ffff;
/// Classes of one device whose own filters are asked for.
const CLASSES_WITH_FILTERS: usize = 64;
/// Qdiscs whose classes are made by hand. Others show one class for each queue or busy flow.
const CLASSFUL: &[&str] = &["htb", "hfsc", "drr", "qfq", "ets", "cbq", "prio"];

/// Words and numbers by name.
pub(crate) type Options = BTreeMap<String, String>;

impl Collector {
    /// Traffic control of these devices, or of all with `None`.
    pub fn tc(&self, devices: Option<&[u32]>) -> Reading<Tc> {
        Self::reading(
            "RTM_GETQDISC, RTM_GETTCLASS, RTM_GETTFILTER",
            "access to the network namespace",
            || {
                let wanted = |ifindex: &u32| devices.is_none_or(|devices| devices.contains(ifindex));
                let mut tc = Tc::default();
                let (mut parents, mut with_classes, mut blocks) = (Vec::new(), Vec::new(), Vec::new());
                for (qdisc, shared) in self.qdiscs()? {
                    if !wanted(&qdisc.ifindex) {
                        continue;
                    }
                    // Filters of a shared block are read once, from the block.
                    let hooks: &[(u32, u32)] = match qdisc.kind.as_str() {
                        "clsact" => &[(INGRESS, shared[0]), (EGRESS, shared[1])],
                        "ingress" => &[(INGRESS, shared[0])],
                        _ => &[(qdisc.handle, 0)],
                    };
                    let own = hooks.iter().filter(|(parent, block)| *parent != 0 && *block == 0);
                    parents.extend(own.map(|(parent, _)| (qdisc.ifindex, *parent)));
                    if CLASSFUL.contains(&qdisc.kind.as_str()) && !with_classes.contains(&qdisc.ifindex) {
                        with_classes.push(qdisc.ifindex);
                    }
                    blocks.extend(shared.into_iter().filter(|block| *block != 0));
                    tc.qdiscs.push(qdisc);
                }
                for ifindex in with_classes {
                    let classes = self.classes(ifindex)?;
                    parents.extend(
                        classes.iter().take(CLASSES_WITH_FILTERS).map(|class| (ifindex, class.handle)),
                    );
                    tc.classes.extend(classes);
                }
                blocks.sort_unstable();
                blocks.dedup();
                parents.extend(blocks.into_iter().map(|block| (BLOCK, block)));
                for (ifindex, parent) in parents {
                    tc.filters.extend(self.filters(ifindex, parent)?);
                }
                Ok(tc)
            },
        )
    }

    fn qdiscs(&self) -> Result<Vec<(Qdisc, [u32; 2])>, CollectError> {
        let wrong = CollectError::attribute("RTM_GETQDISC");
        let request = [0; HEADER];
        self.dump(Protocol::Route, RTM_GETQDISC, &request, |all: &mut Vec<_>, kind, payload| {
            if kind == RTM_NEWQDISC {
                all.push(decode_qdisc(payload).map_err(&wrong)?);
            }
            Ok(())
        })
    }

    fn classes(&self, ifindex: u32) -> Result<Vec<TcClass>, CollectError> {
        let wrong = CollectError::attribute("RTM_GETTCLASS");
        let request = tcmsg(ifindex, 0);
        self.dump(Protocol::Route, RTM_GETTCLASS, &request, |all: &mut Vec<_>, kind, payload| {
            if kind == RTM_NEWTCLASS {
                all.push(decode_class(payload).map_err(&wrong)?);
            }
            Ok(())
        })
    }

    fn filters(&self, ifindex: u32, parent: u32) -> Result<Vec<TcFilter>, CollectError> {
        let wrong = CollectError::attribute("RTM_GETTFILTER");
        let request = tcmsg(ifindex, parent);
        self.dump(Protocol::Route, RTM_GETTFILTER, &request, |all: &mut Vec<_>, kind, payload| {
            if kind == RTM_NEWTFILTER {
                all.extend(decode_filter(payload).map_err(&wrong)?);
            }
            Ok(())
        })
    }
}

fn tcmsg(ifindex: u32, parent: u32) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    header[12..16].copy_from_slice(&parent.to_ne_bytes());
    header
}

/// One qdisc from an RTM_NEWQDISC message (TCA_*), and the shared blocks of its two directions, 0 for none.
pub fn decode_qdisc(payload: &[u8]) -> Decoded<(Qdisc, [u32; 2])> {
    let fixed = header(payload, HEADER)?;
    let word = |offset| fixed.u32(offset).unwrap_or(0);
    let mut blocks = [0, 0];
    for attribute in Attributes::after(payload, HEADER) {
        let attribute = attribute?;
        match attribute.kind {
            13 => blocks[0] = attribute.u32()?,
            14 => blocks[1] = attribute.u32()?,
            _ => {}
        }
    }
    let mut common = decode_common(payload, false)?;
    for (block, name) in blocks.into_iter().zip(["ingress_block", "egress_block"]) {
        if block != 0 {
            common.options.insert(name.to_owned(), block.to_string());
        }
    }
    let qdisc = Qdisc {
        ifindex: word(4),
        handle: word(8),
        parent: word(12),
        kind: common.kind,
        options: common.options,
        stats: common.stats,
    };
    Ok((qdisc, blocks))
}

/// One class from an RTM_NEWTCLASS message (TCA_*).
pub fn decode_class(payload: &[u8]) -> Decoded<TcClass> {
    let fixed = header(payload, HEADER)?;
    let word = |offset| fixed.u32(offset).unwrap_or(0);
    let common = decode_common(payload, true)?;
    Ok(TcClass {
        ifindex: word(4),
        handle: word(8),
        parent: word(12),
        kind: common.kind,
        options: common.options,
        stats: common.stats,
    })
}

struct Common {
    kind: String,
    options: Options,
    stats: TcStats,
}

/// What qdiscs and classes have in common. The kind may come after its options.
fn decode_common(payload: &[u8], class: bool) -> Decoded<Common> {
    let mut common = Common { kind: String::new(), options: Options::new(), stats: TcStats::default() };
    let (mut data, mut own) = (None, None);
    for attribute in Attributes::after(payload, HEADER) {
        let attribute = attribute?;
        match attribute.kind {
            1 => common.kind = attribute.text().into_owned(),
            2 => data = Some(attribute),
            4 => own = Some(attribute),
            7 => {
                let app;
                (common.stats, app) = stats(&attribute)?;
                own = app.or(own);
            }
            _ => {}
        }
    }
    if let Some(data) = data {
        options::decode(&common.kind, class, &data, &mut common.options)?;
    }
    if let Some(own) = own {
        options::decode_own_stats(&common.kind, class, own.fixed(), &mut common.options);
    }
    Ok(common)
}

/// TCA_STATS2 or TCA_ACT_STATS: TCA_STATS_BASIC, _QUEUE, _PKT64; the third is the kind's own, TCA_STATS_APP.
pub(crate) fn stats<'a>(nest: &Attribute<'a>) -> Decoded<(TcStats, Option<Attribute<'a>>)> {
    let mut stats = TcStats::default();
    let (mut app, mut packets64) = (None, None);
    for attribute in nest.attributes() {
        let attribute = attribute?;
        match attribute.kind {
            1 => {
                let basic = structure(&attribute, 12)?;
                stats.bytes = basic.u64(0).unwrap_or(0);
                stats.packets = basic.u32(8).unwrap_or(0).into();
            }
            3 => {
                let queue = structure(&attribute, 20)?;
                let word = |index: usize| queue.u32(index * 4).unwrap_or(0);
                stats.qlen_packets = word(0);
                stats.backlog_bytes = word(1);
                stats.drops = word(2).into();
                stats.requeues = word(3).into();
                stats.overlimits = word(4).into();
            }
            4 => app = Some(attribute),
            // The count above has 32 bits.
            8 => packets64 = Some(attribute.u64()?),
            _ => {}
        }
    }
    stats.packets = packets64.unwrap_or(stats.packets);
    Ok((stats, app))
}
