//! One expression on the registers.

use std::cmp::Ordering;
use std::net::IpAddr;

use netwhy_facts::nft::{BitwiseOp, CmpOp, Data, Expr, NftRule, PayloadBase};

use crate::bits::Bits;
use crate::hooks::Hook;
use crate::nat::{Manip, Range};
use crate::nft::regs::Regs;
use crate::nft::set::{self, Hit};
use crate::nft::{Verdict, of_code};
use crate::path::{Action, End};
use crate::skb::{CtSlot, Skb};
use crate::walk::Walk;

/// What became of one expression.
#[derive(Debug)]
pub(crate) enum Flow {
    Next,
    /// The rule does not match.
    Break,
    Verdict(Verdict),
    /// Matches or not: what is missing.
    Open(String),
    /// Both answers cannot be followed: what is missing.
    GiveUp(String),
}

/// A three-valued test.
fn test(outcome: Option<bool>, why: impl FnOnce() -> String) -> Flow {
    match outcome {
        Some(true) => Flow::Next,
        Some(false) => Flow::Break,
        None => Flow::Open(why()),
    }
}

fn broken() -> Flow {
    Flow::GiveUp("an expression with a register or length the kernel would refuse".into())
}

impl<'a> Walk<'a, '_> {
    #[allow(clippy::too_many_lines)] // one arm per expression
    pub(crate) fn nft_expr(
        &mut self,
        skb: &mut Skb,
        regs: &mut Regs,
        expr: &'a Expr,
        rule: &'a NftRule,
        hook: &Hook,
        passed: &mut Vec<String>,
    ) -> Flow {
        match expr {
            Expr::Payload { base, offset, len, dreg } => {
                let Some(bytes) = payload(skb, *base) else { return Flow::Break };
                // The length of what follows the headers is not ours to know in every byte, but its size is.
                let Some(part) = bytes.get(*offset as usize, *len as usize) else { return Flow::Break };
                store(regs, *dreg, &name_gap(part, *base, *offset))
            }
            Expr::Meta { key, dreg } => put(regs, *dreg, self.meta(skb, hook, *key)),
            Expr::Ct { key, dir, dreg } => put(regs, *dreg, self.ct_key(skb, *key, *dir)),
            Expr::Rt { key, dreg } => put(regs, *dreg, self.rt_key(skb, *key)),
            Expr::Socket { key, dreg, .. } => put(regs, *dreg, self.socket_key(skb, hook, *key)),
            Expr::Fib { dreg, result, flags } => put(regs, *dreg, self.fib_key(skb, hook, *result, *flags)),
            Expr::Cmp { op, sreg, data } => {
                let Some(v) = regs.load(*sreg, data.len()) else { return broken() };
                let outcome = match op {
                    CmpOp::Eq => v.equals(data),
                    CmpOp::Neq => v.equals(data).map(|e| !e),
                    CmpOp::Lt => v.order(data).map(|o| o == Ordering::Less),
                    CmpOp::Lte => v.order(data).map(|o| o != Ordering::Greater),
                    CmpOp::Gt => v.order(data).map(|o| o == Ordering::Greater),
                    CmpOp::Gte => v.order(data).map(|o| o != Ordering::Less),
                };
                test(outcome, || v.why())
            }
            Expr::Range { negate, sreg, from, to } => {
                let Some(v) = regs.load(*sreg, from.len()) else { return broken() };
                let inside = match (v.order(from), v.order(to)) {
                    (Some(Ordering::Less), _) | (_, Some(Ordering::Greater)) => Some(false),
                    (Some(_), Some(_)) => Some(true),
                    _ => None,
                };
                test(inside.map(|i| i != *negate), || v.why())
            }
            Expr::Bitwise { sreg, dreg, len, op } => {
                let Some(v) = regs.load(*sreg, *len as usize) else { return broken() };
                let out = match op {
                    BitwiseOp::MaskXor { mask, xor } => {
                        let (mask, xor) = (mask.clone(), xor.clone());
                        let at = |b: &[u8], i: usize| b.get(i).copied().unwrap_or(0);
                        v.transform(
                            |b| b.iter().enumerate().map(|(i, x)| (x & at(&mask, i)) ^ at(&xor, i)).collect(),
                            |u| u.iter().enumerate().map(|(i, x)| x & at(&mask, i)).collect(),
                        )
                    }
                    BitwiseOp::Lshift(n) => v.transform(|b| shift(b, *n, true), |u| shift(u, *n, true)),
                    BitwiseOp::Rshift(n) => v.transform(|b| shift(b, *n, false), |u| shift(u, *n, false)),
                    BitwiseOp::And { sreg2 } | BitwiseOp::Or { sreg2 } | BitwiseOp::Xor { sreg2 } => {
                        let Some(w) = regs.load(*sreg2, *len as usize) else { return broken() };
                        combine(&v, &w, op)
                    }
                };
                store(regs, *dreg, &out)
            }
            Expr::Byteorder { sreg, dreg, len, size, .. } => {
                let Some(v) = regs.load(*sreg, *len as usize) else { return broken() };
                let out = v.transform(|b| swap(b, *size), |u| swap(u, *size));
                store(regs, *dreg, &out)
            }
            Expr::Lookup { set, sreg, dreg, invert } => {
                // Which element it is matters to whoever has to take it out of the set.
                let element = if *invert { None } else { self.element_words(regs, rule, set, *sreg) };
                let flow = self.nft_lookup(regs, rule, hook, set, *sreg, *dreg, *invert);
                if matches!(flow, Flow::Next | Flow::Verdict(_)) {
                    passed.extend(element);
                }
                flow
            }
            Expr::Immediate { dreg, data } => match data {
                Data::Value(bytes) => store(regs, *dreg, &Bits::known(bytes)),
                Data::Verdict(v) => match of_code(v) {
                    Verdict::Next => Flow::Next,
                    verdict => Flow::Verdict(verdict),
                },
            },
            Expr::Counter { .. } | Expr::Last { .. } => Flow::Next,
            Expr::Log { prefix, group, .. } => {
                let to = group.map(|g| format!(" group {g}")).unwrap_or_default();
                passed.push(format!("log{to} {prefix:?} by {}", self.rule_words(rule)));
                Flow::Next
            }
            Expr::Limit { over, .. } => {
                self.assume(format!("under the limit of {}", self.rule_words(rule)));
                if *over { Flow::Break } else { Flow::Next }
            }
            Expr::Quota { bytes, consumed, over } => {
                let depleted = consumed.saturating_add(skb.p.len.into()) >= *bytes;
                if depleted == *over { Flow::Next } else { Flow::Break }
            }
            Expr::Connlimit { count, over } => {
                self.assume(format!("the only connection counted by {}", self.rule_words(rule)));
                // Taken as one connection: this one.
                if (1 > *count) == *over { Flow::Next } else { Flow::Break }
            }
            Expr::Numgen { dreg, modulus, ng_type, offset } => {
                let high = offset.saturating_add(modulus.saturating_sub(1));
                let kind = if *ng_type == 0 { "inc" } else { "random" };
                let v = Bits::within(*offset, high, format!("the value of numgen {kind} mod {modulus}"));
                store(regs, *dreg, &v)
            }
            Expr::Hash { dreg, modulus, offset, .. } => {
                let high = offset.saturating_add(modulus.saturating_sub(1));
                let v = Bits::within(*offset, high, format!("the value of a hash mod {modulus}"));
                store(regs, *dreg, &v)
            }
            Expr::Exthdr { dreg, hdr_type, offset, len, op, present } => {
                self.nft_exthdr(skb, regs, *dreg, *hdr_type, *offset, *len, *op, *present)
            }
            Expr::PayloadSet { base, offset, len, sreg, .. } => {
                let Some(v) = regs.load(*sreg, *len as usize) else { return broken() };
                self.nft_payload_set(skb, *base, *offset as usize, &v, rule, passed)
            }
            Expr::MetaSet { key, sreg } => {
                match key {
                    3 => {
                        let Some(v) = regs.load(*sreg, 4) else { return broken() };
                        match v.as_host32() {
                            Some(mark) => {
                                skb.p.mark = mark;
                                passed.push(format!("mark set to {mark:#x} by {}", self.rule_words(rule)));
                            }
                            None => return Flow::GiveUp(format!("{} becomes the mark", v.why())),
                        }
                    }
                    2 => {
                        let Some(v) = regs.load(*sreg, 4) else { return broken() };
                        skb.priority = v.as_host32().unwrap_or(skb.priority);
                    }
                    19 => {
                        let Some(v) = regs.load(*sreg, 1) else { return broken() };
                        if let (true, Some(t)) = (v.is_known(), v.value.first()) {
                            skb.pkttype = *t;
                        }
                    }
                    _ => {}
                }
                Flow::Next
            }
            Expr::CtSet { key, sreg, .. } => {
                let Some(v) = regs.load(*sreg, 4) else { return broken() };
                match (key, &mut skb.ct) {
                    (3, CtSlot::Entry(conn)) => {
                        conn.mark_known = v.is_known();
                        conn.entry.mark = v.as_host32().unwrap_or(0);
                    }
                    (17, slot) if *slot == CtSlot::None => {
                        let zone = v.value.get(..2).and_then(|b| b.try_into().ok()).map(u16::from_ne_bytes);
                        skb.zone = zone.unwrap_or(0);
                    }
                    _ => {}
                }
                Flow::Next
            }
            Expr::Nat { nat_type, addr_min, addr_max, proto_min, proto_max, flags, .. } => {
                let manip = if *nat_type == 0 { Manip::Src } else { Manip::Dst };
                let mut range = Range { flags: *flags, ..Range::default() };
                let n = if skb.v6() { 16 } else { 4 };
                for (reg, slot) in [(addr_min, &mut range.addr_min), (addr_max, &mut range.addr_max)] {
                    let Some(reg) = reg else { continue };
                    let Some(v) = regs.load(*reg, n) else { return broken() };
                    match address(&v) {
                        Some(a) => *slot = Some(a),
                        None => return Flow::GiveUp(format!("{} becomes the translated address", v.why())),
                    }
                }
                for (reg, slot) in [(proto_min, &mut range.port_min), (proto_max, &mut range.port_max)] {
                    match port(regs, *reg) {
                        Ok(p) => *slot = p,
                        Err(flow) => return flow,
                    }
                }
                range.flags |= u32::from(range.addr_min.is_some()) | u32::from(range.port_min.is_some()) << 1;
                self.nat_verdict(skb, hook, manip, range)
            }
            Expr::Masq { flags, proto_min, proto_max } => {
                let mut range = Range { flags: *flags, ..Range::default() };
                match (port(regs, *proto_min), port(regs, *proto_max)) {
                    (Ok(a), Ok(b)) => (range.port_min, range.port_max) = (a, b),
                    (Err(f), _) | (_, Err(f)) => return f,
                }
                match self.masquerade_address(skb, hook) {
                    Some(a) => {
                        range.addr_min = Some(a);
                        range.addr_max = Some(a);
                        self.nat_verdict(skb, hook, Manip::Src, range)
                    }
                    None => Flow::Verdict(Verdict::Drop),
                }
            }
            Expr::Redir { flags, proto_min, proto_max } => {
                let mut range = Range { flags: *flags, ..Range::default() };
                match (port(regs, *proto_min), port(regs, *proto_max)) {
                    (Ok(a), Ok(b)) => (range.port_min, range.port_max) = (a, b),
                    (Err(f), _) | (_, Err(f)) => return f,
                }
                match self.redirect_address(skb, hook) {
                    Some(a) => {
                        range.addr_min = Some(a);
                        range.addr_max = Some(a);
                        self.nat_verdict(skb, hook, Manip::Dst, range)
                    }
                    None => Flow::Verdict(Verdict::Drop),
                }
            }
            Expr::Reject { reject_type, code } => {
                let with = crate::text::reject_word(*reject_type, *code, skb.v6());
                let silent = *reject_type == 1 && (skb.p.proto != 6 || skb.p.tcp_flags & 0x04 != 0);
                if silent {
                    return Flow::Verdict(Verdict::Drop);
                }
                let locus = crate::nft::rule_locus(self, rule);
                Flow::Verdict(Verdict::End(
                    Box::new(End::Rejected { locus, with: with.clone() }),
                    Action::Reject { with: with.clone() },
                    format!("rejected with {with}"),
                ))
            }
            Expr::Notrack => {
                if skb.ct == CtSlot::None {
                    skb.ct = CtSlot::Untracked;
                    passed.push(format!("notrack by {}", self.rule_words(rule)));
                }
                Flow::Next
            }
            Expr::Tproxy { addr, port: preg, .. } => {
                let n = if skb.v6() { 16 } else { 4 };
                let to = match addr {
                    Some(reg) => match regs.load(*reg, n).as_ref().and_then(address) {
                        Some(a) => a,
                        None => return broken(),
                    },
                    None => skb.p.dst,
                };
                let port = match port(regs, *preg) {
                    Ok(p) => p.unwrap_or(skb.p.dport),
                    Err(f) => return f,
                };
                if !matches!(skb.p.proto, 6 | 17) {
                    return Flow::Break;
                }
                skb.tproxy = Some((to, port));
                passed.push(format!("assigned to a socket on {to} port {port} by {}", self.rule_words(rule)));
                Flow::Next
            }
            Expr::Queue { num, total, flags, .. } => {
                let last = num.saturating_add(total.saturating_sub(1));
                let to = if last > *num { format!("nfqueue {num}-{last}") } else { format!("nfqueue {num}") };
                let bypass = if flags & 1 != 0 { " (bypassed when nobody listens)" } else { "" };
                Flow::Verdict(Verdict::End(
                    Box::new(End::Stolen { to: to.clone(), locus: None }),
                    Action::Stolen { to: to.clone() },
                    format!("handed to {to}{bypass}"),
                ))
            }
            Expr::Dup { .. } => {
                passed.push(format!("duplicated by {}", self.rule_words(rule)));
                Flow::Next
            }
            Expr::Fwd { dev, .. } => {
                let name = regs.load(*dev, 4).and_then(|v| v.as_host32()).map(|i| self.w.dev_name(i));
                let to = format!("device {}", name.unwrap_or_else(|| "of a map".into()));
                Flow::Verdict(Verdict::End(
                    Box::new(End::Stolen { to: to.clone(), locus: None }),
                    Action::Stolen { to: to.clone() },
                    format!("redirected to {to}"),
                ))
            }
            Expr::Dynset { set, op, key, invert, exprs, data, .. } => {
                self.nft_dynset(skb, regs, rule, hook, passed, set, *op, *key, data.is_some(), *invert, exprs)
            }
            Expr::Objref { name, .. } => self.nft_object(skb, regs, rule, hook, passed, name),
            Expr::ObjrefMap { set, sreg } => {
                let Some(s) = self.w.nft.and_then(|n| n.set(rule.family, &rule.table, set)) else {
                    return Flow::GiveUp(format!("map {set} was not read"));
                };
                let Some(key) = regs.load(*sreg, s.key_len as usize) else { return broken() };
                match set::lookup(s, &key) {
                    Hit::Miss => Flow::Break,
                    Hit::Elem(e) => match &e.object {
                        Some(name) => self.nft_object(skb, regs, rule, hook, passed, name),
                        None => Flow::Next,
                    },
                    Hit::Open(_) | Hit::Unread => Flow::Open(format!("which object of map {set} applies")),
                }
            }
            Expr::Synproxy { .. } => {
                if skb.p.proto != 6 {
                    return Flow::Break;
                }
                Flow::Verdict(Verdict::End(
                    Box::new(End::Stolen { to: "synproxy".into(), locus: None }),
                    Action::Stolen { to: "synproxy".into() },
                    "answered by synproxy".into(),
                ))
            }
            Expr::FlowOffload { .. } | Expr::ExthdrReset { .. } => Flow::Next,
            Expr::ExthdrSet { .. } => Flow::Next,
            Expr::Osf { dreg, .. } => {
                store(regs, *dreg, &Bits::unknown(16, "the operating system osf guesses"))
            }
            Expr::Tunnel { dreg, .. } => store(regs, *dreg, &Bits::unknown(4, "tunnel metadata")),
            Expr::Xfrm { dreg, .. } => store(regs, *dreg, &Bits::unknown(16, "IPsec state")),
            Expr::Match { name, decoded, .. } => {
                let outcome = self.compat_match(skb, hook, rule, name, decoded.as_deref());
                test(outcome, || format!("xtables match {name}"))
            }
            Expr::Target { name, info, decoded, .. } => {
                self.compat_target(skb, hook, rule, passed, name, info, decoded.as_deref())
            }
            Expr::Inner { .. } => {
                regs.forget("a header inside a tunnel");
                Flow::Open("a header inside a tunnel".into())
            }
            Expr::Unknown { name, .. } => {
                let why = format!("expression {name}, which this build does not know");
                regs.forget(&why);
                Flow::Open(why)
            }
        }
    }

    /// The element of a named set or verdict map that a known key hits, in words.
    fn element_words(&self, regs: &Regs, rule: &NftRule, name: &str, sreg: u32) -> Option<String> {
        const ANONYMOUS: u32 = 1;
        const VERDICTS: u32 = 0xffff_ff00;
        let set = self.w.nft?.set(rule.family, &rule.table, name)?;
        if set.flags & ANONYMOUS != 0 || set.data_type.is_some_and(|d| d != VERDICTS) {
            return None;
        }
        let Hit::Elem(elem) = set::lookup(set, &regs.load(sreg, set.key_len as usize)?) else { return None };
        let text = crate::text::element_text(set, elem);
        Some(format!("element {text} of set {name} by {}", self.rule_words(rule)))
    }

    #[allow(clippy::too_many_arguments)]
    fn nft_lookup(
        &mut self,
        regs: &mut Regs,
        rule: &'a NftRule,
        hook: &Hook,
        name: &str,
        sreg: u32,
        dreg: Option<u32>,
        invert: bool,
    ) -> Flow {
        let Some(s) = self.w.nft.and_then(|n| n.set(rule.family, &rule.table, name)) else {
            return Flow::GiveUp(format!("set {name} was not read"));
        };
        let Some(key) = regs.load(sreg, s.key_len as usize) else { return broken() };
        if self.added.iter().any(|(t, n, k)| *t == rule.table && n == name && key.equals(k) == Some(true)) {
            return if invert { Flow::Break } else { Flow::Next };
        }
        let hit = match set::lookup(s, &key) {
            Hit::Elem(e) => Some(e),
            Hit::Miss => None,
            Hit::Unread if dreg.is_none() => return Flow::Open(format!("the elements of set {name}")),
            Hit::Unread => return Flow::GiveUp(format!("the elements of map {name} were not read")),
            Hit::Open(options) => {
                if dreg.is_none() && options.iter().all(|o| o.is_none_or(|e| e.exprs.is_empty())) {
                    return Flow::Open(key.why());
                }
                if options.len() > 12 {
                    return Flow::GiveUp(format!(
                        "{} decides among {} outcomes of {name}",
                        key.why(),
                        options.len()
                    ));
                }
                let why = format!("{}, looked up by {}", key.why(), self.rule_words(rule));
                let locus = Some(crate::nft::rule_locus(self, rule));
                let n = self.choose(options.len(), why, locus, hook.stage);
                options.get(n).copied().flatten()
            }
        };
        match (hit, invert) {
            (None, false) | (Some(_), true) => return Flow::Break,
            (None, true) => return Flow::Next,
            (Some(_), false) => {}
        }
        let Some(elem) = hit else { return Flow::Next };
        for e in &elem.exprs {
            match e {
                Expr::Limit { over, .. } => {
                    self.assume(format!("under the limit of the element used by {}", self.rule_words(rule)));
                    if *over {
                        return Flow::Break;
                    }
                }
                Expr::Connlimit { count, over } => {
                    self.assume(format!("the only connection counted by {}", self.rule_words(rule)));
                    if (1 > *count) != *over {
                        return Flow::Break;
                    }
                }
                Expr::Quota { bytes, consumed, over } if (*consumed >= *bytes) != *over => {
                    return Flow::Break;
                }
                _ => {}
            }
        }
        match (dreg, &elem.data) {
            (None, _) => Flow::Next,
            (Some(dreg), Some(Data::Value(bytes))) => store(regs, dreg, &Bits::known(bytes)),
            (Some(_), Some(Data::Verdict(v))) => match of_code(v) {
                Verdict::Next => Flow::Next,
                verdict => Flow::Verdict(verdict),
            },
            (Some(_), None) => Flow::GiveUp(format!("an element of map {name} has no data")),
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn nft_dynset(
        &mut self,
        skb: &mut Skb,
        regs: &mut Regs,
        rule: &'a NftRule,
        hook: &Hook,
        passed: &mut Vec<String>,
        name: &str,
        op: u32,
        key: u32,
        is_map: bool,
        invert: bool,
        exprs: &'a [Expr],
    ) -> Flow {
        let set = self.w.nft.and_then(|n| n.set(rule.family, &rule.table, name));
        let Some(set) = set else { return Flow::GiveUp(format!("set {name} was not read")) };
        let Some(key) = regs.load(key, set.key_len as usize) else { return broken() };
        if op == 2 {
            return Flow::Next;
        }
        let present = match set::lookup(set, &key) {
            Hit::Elem(_) => true,
            Hit::Miss => false,
            Hit::Open(_) | Hit::Unread => false,
        };
        if !present
            && set.size.is_some_and(|n| n > 0 && set.elements_read && set.elements.len() >= n as usize)
        {
            return if invert { Flow::Next } else { Flow::Break };
        }
        for e in exprs {
            match self.nft_expr(skb, regs, e, rule, hook, passed) {
                Flow::Next => {}
                other => return other,
            }
        }
        if key.is_known() && !is_map {
            self.added.push((rule.table.clone(), name.to_string(), key.value.clone()));
        }
        if invert { Flow::Break } else { Flow::Next }
    }

    fn nft_object(
        &mut self,
        skb: &mut Skb,
        regs: &mut Regs,
        rule: &'a NftRule,
        hook: &Hook,
        passed: &mut Vec<String>,
        name: &str,
    ) -> Flow {
        let object = self.w.nft.and_then(|n| {
            n.objects.iter().find(|o| o.family == rule.family && o.table == rule.table && o.name == name)
        });
        match object {
            // Counters, helpers, timeouts and the like only observe.
            Some(o) => match &o.expr {
                Some(e @ (Expr::Limit { .. } | Expr::Quota { .. } | Expr::Connlimit { .. })) => {
                    self.nft_expr(skb, regs, e, rule, hook, passed)
                }
                Some(Expr::Synproxy { .. }) if skb.p.proto == 6 => Flow::Verdict(Verdict::End(
                    Box::new(End::Stolen { to: "synproxy".into(), locus: None }),
                    Action::Stolen { to: "synproxy".into() },
                    "answered by synproxy".into(),
                )),
                _ => Flow::Next,
            },
            None => Flow::Open(format!("object {name}, which was not read")),
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn nft_exthdr(
        &mut self,
        skb: &Skb,
        regs: &mut Regs,
        dreg: u32,
        hdr_type: u8,
        offset: u32,
        len: u32,
        op: u32,
        present: bool,
    ) -> Flow {
        let found = |p: bool| Bits::known(&[u8::from(p)]);
        match op {
            // The hypothetical packet has no IPv6 extension headers and no IP options.
            0 | 2 if present => store(regs, dreg, &found(false)),
            0 | 2 => Flow::Break,
            1 => {
                if skb.p.proto != 6 {
                    return if present { store(regs, dreg, &found(false)) } else { Flow::Break };
                }
                let t = skb.transport();
                let header = t
                    .get(12, 1)
                    .and_then(|b| b.is_known().then_some(b.value))
                    .and_then(|v| v.first().copied());
                let open = |regs: &mut Regs| {
                    let why = "the TCP options of the packet";
                    let value = Bits::unknown(if present { 1 } else { len as usize }, why);
                    match store(regs, dreg, &value) {
                        // Whether it is there at all is part of the answer, unless that is the answer.
                        Flow::Next if !present => Flow::Open(why.into()),
                        other => other,
                    }
                };
                let Some(header) = header else { return open(regs) };
                let end = usize::from(header >> 4) * 4;
                let mut at = 20;
                while at < end {
                    let Some(kind) = t.get(at, 1) else { break };
                    if !kind.is_known() {
                        return open(regs);
                    }
                    let kind = kind.value.first().copied().unwrap_or(0);
                    let size = match kind {
                        0 => break,
                        1 => 1,
                        _ => t.get(at + 1, 1).and_then(|b| b.value.first().copied()).unwrap_or(2).max(2)
                            as usize,
                    };
                    if kind == hdr_type {
                        if present {
                            return store(regs, dreg, &found(true));
                        }
                        return match t.get(at + offset as usize, len as usize) {
                            Some(mut b) if (offset + len) as usize <= size => {
                                if !b.is_known() {
                                    b = Bits { gap: Bits::unknown(1, "a TCP option's value").gap, ..b };
                                }
                                store(regs, dreg, &b)
                            }
                            _ => Flow::Break,
                        };
                    }
                    at += size;
                }
                if present { store(regs, dreg, &found(false)) } else { Flow::Break }
            }
            _ => {
                regs.forget("an SCTP or DCCP header");
                Flow::Open("an SCTP or DCCP header".into())
            }
        }
    }

    fn nft_payload_set(
        &mut self,
        skb: &mut Skb,
        base: PayloadBase,
        offset: usize,
        v: &Bits,
        rule: &NftRule,
        passed: &mut Vec<String>,
    ) -> Flow {
        let mut bytes = skb.network();
        let at = match base {
            PayloadBase::Network => offset,
            PayloadBase::Transport => match offset.checked_add(skb.network_header_len()) {
                Some(at) => at,
                None => return broken(),
            },
            // The link header is of no use to the walk; inner and tunnel headers are not there.
            PayloadBase::Link => {
                passed.push(format!("link header changed by {}", self.rule_words(rule)));
                return Flow::Next;
            }
            _ => return Flow::Break,
        };
        let Some(end) = at.checked_add(v.len()) else { return broken() };
        match (bytes.value.get_mut(at..end), bytes.known.get_mut(at..end)) {
            (Some(value), Some(known)) => {
                value.copy_from_slice(&v.value);
                known.copy_from_slice(&v.known);
            }
            _ => return Flow::Break,
        }
        if !skb.take_network(&bytes) {
            skb.odd_payload = true;
            self.assume(format!("a header change by {} is not followed in full", self.rule_words(rule)));
        }
        passed.push(format!("header changed by {}", self.rule_words(rule)));
        Flow::Next
    }

    /// Decides a translation and ends the chain as the kernel's nat statements do.
    fn nat_verdict(&mut self, skb: &mut Skb, hook: &Hook, manip: Manip, range: Range) -> Flow {
        match self.setup_nat(skb, hook, manip, &range) {
            Ok(()) => Flow::Verdict(Verdict::Accept),
            Err(why) => Flow::GiveUp(why),
        }
    }
}

/// The bytes an access is relative to; `None` when the header is not there.
fn payload(skb: &Skb, base: PayloadBase) -> Option<Bits> {
    match base {
        PayloadBase::Link => {
            let mut b = skb.link()?;
            let n = skb.network();
            b.value.extend_from_slice(&n.value);
            b.known.extend_from_slice(&n.known);
            Some(b)
        }
        PayloadBase::Network => Some(skb.network()),
        PayloadBase::Transport => Some(skb.transport()),
        PayloadBase::Inner => {
            let t = skb.transport();
            let header = match skb.p.proto {
                6 => usize::from(t.value.get(12).copied()? >> 4) * 4,
                17 => 8,
                _ => return None,
            };
            t.get(header, t.len().checked_sub(header)?)
        }
        PayloadBase::Tunnel => None,
    }
}

/// Says which header field is open.
fn name_gap(mut b: Bits, base: PayloadBase, offset: u32) -> Bits {
    if !b.is_known() && b.gap.is_none() {
        let base = match base {
            PayloadBase::Link => "link",
            PayloadBase::Network => "network",
            _ => "transport",
        };
        b.gap = Bits::unknown(1, format!("the packet's bytes at {base} header offset {offset}")).gap;
    }
    b
}

fn store(regs: &mut Regs, dreg: u32, bits: &Bits) -> Flow {
    match regs.store(dreg, bits) {
        Some(()) => Flow::Next,
        None => broken(),
    }
}

fn put(regs: &mut Regs, dreg: u32, value: Option<Bits>) -> Flow {
    match value {
        Some(bits) => store(regs, dreg, &bits),
        None => Flow::Break,
    }
}

/// The address a register holds.
fn address(v: &Bits) -> Option<IpAddr> {
    if !v.is_known() {
        return None;
    }
    match v.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(v.value.as_slice()).ok()?)),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(v.value.as_slice()).ok()?)),
        _ => None,
    }
}

/// The port a register holds.
fn port(regs: &Regs, reg: Option<u32>) -> Result<Option<u16>, Flow> {
    let Some(reg) = reg else { return Ok(None) };
    let Some(v) = regs.load(reg, 2) else { return Err(broken()) };
    match (v.is_known(), <[u8; 2]>::try_from(v.value.as_slice())) {
        (true, Ok(b)) => Ok(Some(u16::from_be_bytes(b))),
        (false, Ok(_)) => Err(Flow::GiveUp(format!("{} becomes the translated port", v.why()))),
        (_, Err(_)) => Err(broken()),
    }
}

/// Swaps bytes in units on a little-endian machine: both directions are the same.
fn swap(b: &[u8], size: u32) -> Vec<u8> {
    let mut out = b.to_vec();
    if cfg!(target_endian = "little") && matches!(size, 2 | 4 | 8) {
        for unit in out.chunks_exact_mut(size as usize) {
            unit.reverse();
        }
    }
    out
}

/// Shifts an array of host-order words, the first being the most significant.
fn shift(b: &[u8], n: u32, left: bool) -> Vec<u8> {
    let n = n % 32;
    let mut words: Vec<u32> = b
        .chunks(4)
        .map(|c| {
            let mut w = [0u8; 4];
            for (slot, v) in w.iter_mut().zip(c) {
                *slot = *v;
            }
            u32::from_ne_bytes(w)
        })
        .collect();
    let mut carry = 0u32;
    let spill = |w: u32| {
        if n == 0 {
            0
        } else if left {
            w >> (32 - n)
        } else {
            w << (32 - n)
        }
    };
    let step = |w: &mut u32| {
        let old = *w;
        *w = (if left { old << n } else { old >> n }) | carry;
        carry = spill(old);
    };
    if left {
        words.iter_mut().rev().for_each(step)
    } else {
        words.iter_mut().for_each(step)
    }
    let mut out: Vec<u8> = words.iter().flat_map(|w| w.to_ne_bytes()).collect();
    out.truncate(b.len());
    out
}

/// Bit operation on two registers with unknown bits.
fn combine(a: &Bits, b: &Bits, op: &BitwiseOp) -> Bits {
    let mut out = Bits { gap: a.gap.clone().or_else(|| b.gap.clone()), ..Bits::default() };
    for i in 0..a.len().min(b.len()) {
        let at = |v: &[u8]| v.get(i).copied().unwrap_or(0);
        let (va, vb, ka, kb) = (at(&a.value), at(&b.value), at(&a.known), at(&b.known));
        let (v, k) = match op {
            BitwiseOp::And { .. } => (va & vb, (ka & kb) | (ka & !va) | (kb & !vb)),
            BitwiseOp::Or { .. } => (va | vb, (ka & kb) | (ka & va) | (kb & vb)),
            _ => (va ^ vb, ka & kb),
        };
        out.value.push(v & k);
        out.known.push(k);
    }
    out
}
