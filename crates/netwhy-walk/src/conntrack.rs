//! What connection tracking makes of the packet at its hook.

use netwhy_facts::Locus;
use netwhy_facts::conntrack::CtEntry;

use crate::hooks::Hook;
use crate::packet::CtHypothesis;
use crate::path::{Action, End, Stage};
use crate::skb::{Conn, CtInfo, CtSlot, Skb, invert, tuple_of};
use crate::walk::Walk;

const SEEN_REPLY: u32 = 2;
const EXPECTED: u32 = 1;

impl<'a> Walk<'a, '_> {
    /// nf_conntrack_in.
    pub(crate) fn track(&mut self, skb: &mut Skb, _hook: &Hook) -> Result<(), End> {
        if skb.ct != CtSlot::None {
            return Ok(());
        }
        // Neighbour and router discovery are never tracked.
        if skb.p.proto == 58 && (130..=137).contains(&skb.p.icmp_type) {
            skb.ct = CtSlot::Untracked;
            return Ok(());
        }
        if skb.src_unknown {
            self.assume("the source is not named (--from): taken as new to connection tracking".into());
        }
        let tuple = tuple_of(&skb.p);
        let found = self.find_entry(&tuple, skb.zone);
        skb.ct = match found {
            Some((entry, reply)) => self.slot_of(skb, entry, reply),
            None => self.fresh_slot(skb),
        };
        let text = match &skb.ct {
            CtSlot::Entry(c) => match (c.info, c.fresh, c.reply) {
                (CtInfo::New, true, _) => "a new connection".to_string(),
                (CtInfo::New, false, _) => "known, no answer seen yet: new".to_string(),
                (CtInfo::Established, _, true) => "the answer of a tracked connection: established".into(),
                (CtInfo::Established, _, false) => "a tracked connection: established".into(),
                (CtInfo::Related, ..) => "related to a tracked connection".into(),
            },
            CtSlot::Untracked => "untracked".into(),
            CtSlot::None => "invalid".into(),
        };
        if let (CtSlot::Entry(c), Some(table)) = (&skb.ct, self.w.conntrack)
            && c.fresh
            && table.max > 0
            && table.count >= table.max
        {
            self.assume(format!(
                "the full conntrack table ({} of {}) still takes the connection",
                table.count, table.max
            ));
            let locus = Locus::Conntrack { detail: format!("{} of {} entries", table.count, table.max) };
            self.step(Stage::Conntrack, text, Some(locus), Action::Pass);
            return Ok(());
        }
        self.step(Stage::Conntrack, text, None, Action::Pass);
        Ok(())
    }

    /// The entry of a tuple and whether the packet goes in reply direction.
    fn find_entry(&self, tuple: &netwhy_facts::conntrack::CtTuple, zone: u16) -> Option<(CtEntry, bool)> {
        let known = self.w.entries.map(|e| e.entries.as_slice()).unwrap_or_default();
        for entry in self.expected.iter().chain(known) {
            if entry.zone != zone || entry.status & 0x200 != 0 {
                continue;
            }
            if entry.orig == *tuple {
                return Some((entry.clone(), false));
            }
            if entry.reply == *tuple {
                return Some((entry.clone(), true));
            }
        }
        None
    }

    fn slot_of(&mut self, skb: &Skb, entry: CtEntry, reply: bool) -> CtSlot {
        let syn = skb.p.proto == 6 && skb.p.tcp_flags & 0x17 == 0x02;
        let closing = matches!(entry.tcp_state.as_deref(), Some("TIME_WAIT" | "CLOSE" | "LAST_ACK"));
        // A SYN on a closed connection begins anew.
        if syn && !reply && closing {
            return self.fresh_slot(skb);
        }
        // Before the answer to its SYN a connection has nothing to acknowledge or to end.
        if skb.p.proto == 6 && entry.tcp_state.as_deref() == Some("SYN_SENT") && skb.p.tcp_flags & 0x06 == 0 {
            return CtSlot::None;
        }
        let info = if reply || entry.status & SEEN_REPLY != 0 {
            CtInfo::Established
        } else if entry.status & EXPECTED != 0 {
            CtInfo::Related
        } else {
            CtInfo::New
        };
        CtSlot::Entry(Box::new(Conn {
            entry,
            reply,
            info,
            fresh: false,
            src_done: true,
            dst_done: true,
            mark_known: true,
        }))
    }

    /// No entry: what the protocol's tracker makes of the packet.
    fn fresh_slot(&mut self, skb: &Skb) -> CtSlot {
        let tuple = tuple_of(&skb.p);
        let entry = CtEntry {
            reply: invert(&tuple),
            orig: tuple,
            status: 0,
            tcp_state: None,
            timeout_s: 0,
            mark: 0,
            zone: skb.zone,
            id: 0,
            packets: None,
        };
        let conn = |entry: CtEntry, reply: bool, info: CtInfo| {
            let settled = info != CtInfo::New;
            CtSlot::Entry(Box::new(Conn {
                entry,
                reply,
                info,
                fresh: !settled,
                src_done: settled,
                dst_done: settled,
                mark_known: !settled,
            }))
        };
        match skb.p.ct {
            CtHypothesis::Invalid => return CtSlot::None,
            CtHypothesis::Untracked => return CtSlot::Untracked,
            CtHypothesis::Related => return conn(entry, false, CtInfo::Related),
            CtHypothesis::Established => {
                let answer = (skb.p.proto == 6 && skb.p.tcp_flags & 0x12 == 0x12)
                    || matches!((skb.p.proto, skb.p.icmp_type), (1, 0) | (58, 129));
                if answer {
                    let mirrored = CtEntry {
                        orig: entry.reply.clone(),
                        reply: entry.orig.clone(),
                        status: SEEN_REPLY,
                        ..entry
                    };
                    return conn(mirrored, true, CtInfo::Established);
                }
                return conn(CtEntry { status: SEEN_REPLY, ..entry }, false, CtInfo::Established);
            }
            CtHypothesis::New => {}
        }
        let flags = skb.p.tcp_flags;
        let acceptable = match skb.p.proto {
            6 => {
                let (fin, syn, rst, ack) = (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0, flags & 16 != 0);
                if syn && !ack && !rst && !fin {
                    true
                } else if rst || syn || fin || !ack {
                    false
                } else {
                    // A connection picked up in the middle.
                    self.w.conntrack.and_then(|c| c.settings.get("tcp_loose").copied()).unwrap_or(1) != 0
                }
            }
            1 => matches!(skb.p.icmp_type, 8 | 13 | 15 | 17),
            58 => matches!(skb.p.icmp_type, 128 | 139),
            _ => true,
        };
        if acceptable { conn(entry, false, CtInfo::New) } else { CtSlot::None }
    }
}
