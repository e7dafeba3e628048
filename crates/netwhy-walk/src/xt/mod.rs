//! Runs legacy xtables tables (iptables, ip6tables) and ebtables on the packet.

pub(crate) mod ipset;
pub(crate) mod matches;

use netwhy_facts::xtables::{XtChain, XtFamily, XtRule, XtTable, XtTarget, XtVerdict};
use netwhy_facts::{Locus, Reading};

use crate::hooks::Hook;
use crate::nat::{Manip, Range};
use crate::path::{Action, End};
use crate::skb::{CtSlot, Skb};
use crate::walk::Walk;

/// Jumps inside each other at most; the kernel allows as many as there are chains.
const JUMP_DEPTH: usize = 128;

/// What a target did.
pub(crate) enum Outcome {
    /// The next rule.
    Continue,
    Verdict(XtVerdict),
    /// The packet ends here in another way.
    End(Box<End>, Action, String),
}

/// The locus of a rule by its place.
pub(crate) fn rule_locus(table: &XtTable, chain: &str, number: usize, rule: &XtRule) -> Locus {
    Locus::IptRule {
        command: table.family.command().into(),
        table: table.name.clone(),
        chain: chain.into(),
        number: u32::try_from(number).unwrap_or(u32::MAX),
        text: crate::text::xt_rule_text(chain, rule),
    }
}

impl<'a> Walk<'a, '_> {
    /// Runs the chain a table has at a hook.
    pub(crate) fn xt_table(&mut self, skb: &mut Skb, table: &'a XtTable, hook: &Hook) -> Result<(), End> {
        let command = table.family.command();
        let chains = match &table.chains {
            Reading::Known { value, .. } => value,
            other => {
                let why = other.absence().map(|a| a.to_string()).unwrap_or_default();
                self.assume(format!("{command} table {} lets the packet pass ({why})", table.name));
                return Ok(());
            }
        };
        let Some(base) = chains.iter().find(|c| c.hook == Some(hook.num)) else { return Ok(()) };
        let name = format!("{command} {} {}", table.name, base.name);
        let mut passed: Vec<String> = Vec::new();
        let mut stack: Vec<(&'a XtChain, usize)> = Vec::new();
        let (mut chain, mut at) = (base, 0usize);
        loop {
            self.budget = self.budget.saturating_sub(1);
            if self.budget == 0 {
                return Err(self.give_up(hook, "the ruleset is longer than the walker follows", None));
            }
            let verdict = match chain.rules.get(at) {
                Some(rule) => {
                    at += 1;
                    let number = at;
                    let matched = match self.xt_matches(skb, rule, table, hook) {
                        Some(m) => m,
                        None if xt_inert(&rule.target) => false,
                        None => {
                            let locus = rule_locus(table, &chain.name, number, rule);
                            let why = format!(
                                "whether rule {number} of {command} {} {} matches",
                                table.name, chain.name
                            );
                            self.choose(2, why, Some(locus), hook.stage) == 1
                        }
                    };
                    if !matched {
                        continue;
                    }
                    let words = format!(
                        "rule {number} of {} ({})",
                        chain.name,
                        crate::text::xt_rule_text(&chain.name, rule)
                    );
                    match self.xt_target(skb, rule, hook, &words, &mut passed) {
                        Err(why) => {
                            let locus = rule_locus(table, &chain.name, number, rule);
                            return Err(self.give_up(hook, &why, Some(locus)));
                        }
                        Ok(Outcome::Continue) => continue,
                        Ok(Outcome::End(end, action, what)) => {
                            let locus = rule_locus(table, &chain.name, number, rule);
                            self.step_passed(
                                hook.stage,
                                format!("{name}: {what} by {words}"),
                                Some(locus.clone()),
                                action,
                                passed,
                            );
                            return Err(match *end {
                                End::Stolen { to, .. } => End::Stolen { to, locus: Some(locus) },
                                End::Rejected { with, .. } => End::Rejected { locus, with },
                                other => other,
                            });
                        }
                        Ok(Outcome::Verdict(XtVerdict::Accept)) => {
                            let locus = rule_locus(table, &chain.name, number, rule);
                            self.step_passed(
                                hook.stage,
                                format!("{name}: accept by {words}"),
                                Some(locus),
                                Action::Pass,
                                passed,
                            );
                            return Ok(());
                        }
                        Ok(Outcome::Verdict(XtVerdict::Drop)) => {
                            let locus = rule_locus(table, &chain.name, number, rule);
                            self.step_passed(
                                hook.stage,
                                format!("{name}: drop by {words}"),
                                Some(locus.clone()),
                                Action::Drop,
                                passed,
                            );
                            return Err(End::Dropped { locus });
                        }
                        Ok(Outcome::Verdict(XtVerdict::Jump(to))) => {
                            let Some(target) = chains.iter().find(|c| c.name == to) else {
                                let locus = rule_locus(table, &chain.name, number, rule);
                                return Err(self.give_up(
                                    hook,
                                    &format!("chain {to} was not read"),
                                    Some(locus),
                                ));
                            };
                            if !rule.goto {
                                if stack.len() >= JUMP_DEPTH {
                                    return Err(self.give_up(hook, "chains jump too deep", None));
                                }
                                stack.push((chain, at));
                            }
                            (chain, at) = (target, 0);
                            continue;
                        }
                        Ok(Outcome::Verdict(v)) => v,
                    }
                }
                None => XtVerdict::Return,
            };
            match verdict {
                XtVerdict::Return => match stack.pop() {
                    Some(back) => (chain, at) = back,
                    None => break,
                },
                XtVerdict::Queue => {
                    let to = "nfqueue 0".to_string();
                    self.step_passed(
                        hook.stage,
                        format!("{name}: handed to {to}"),
                        None,
                        Action::Stolen { to: to.clone() },
                        passed,
                    );
                    return Err(End::Stolen { to, locus: None });
                }
                _ => {}
            }
        }
        if base.policy == Some(XtVerdict::Drop) {
            let locus = Locus::IptChain {
                command: command.into(),
                table: table.name.clone(),
                chain: base.name.clone(),
                policy: "DROP".into(),
            };
            self.step_passed(
                hook.stage,
                format!("{name}: policy DROP"),
                Some(locus.clone()),
                Action::Drop,
                passed,
            );
            return Err(End::Dropped { locus });
        }
        self.step_passed(hook.stage, format!("{name}: policy ACCEPT"), None, Action::Pass, passed);
        Ok(())
    }

    /// Runs a target; the error says what cannot be known.
    pub(crate) fn xt_target(
        &mut self,
        skb: &mut Skb,
        rule: &XtRule,
        hook: &Hook,
        words: &str,
        passed: &mut Vec<String>,
    ) -> Result<Outcome, String> {
        let nat = |range: Range| (range.addr_min.is_some() || range.port_min.is_some(), range);
        match &rule.target {
            XtTarget::Standard { verdict: XtVerdict::Continue } => {
                passed.push(words.to_string());
                Ok(Outcome::Continue)
            }
            XtTarget::Standard { verdict } => Ok(Outcome::Verdict(verdict.clone())),
            XtTarget::Reject { with } => {
                let with = xt_reject_word(with, skb.v6());
                if with == "tcp reset" && skb.p.proto != 6 {
                    return Ok(Outcome::Verdict(XtVerdict::Drop));
                }
                let locus = Locus::Host { detail: String::new() };
                Ok(Outcome::End(
                    Box::new(End::Rejected { locus, with: with.clone() }),
                    Action::Reject { with: with.clone() },
                    format!("rejected with {with}"),
                ))
            }
            XtTarget::Snat { addr_min, addr_max, port_min, port_max, flags } => {
                let (_, range) = nat(Range {
                    flags: *flags,
                    addr_min: *addr_min,
                    addr_max: *addr_max,
                    port_min: *port_min,
                    port_max: *port_max,
                });
                self.setup_nat(skb, hook, Manip::Src, &range)?;
                Ok(Outcome::Verdict(XtVerdict::Accept))
            }
            XtTarget::Dnat { addr_min, addr_max, port_min, port_max, flags } => {
                let range = Range {
                    flags: *flags,
                    addr_min: *addr_min,
                    addr_max: *addr_max,
                    port_min: *port_min,
                    port_max: *port_max,
                };
                self.setup_nat(skb, hook, Manip::Dst, &range)?;
                Ok(Outcome::Verdict(XtVerdict::Accept))
            }
            XtTarget::Masquerade { port_min, port_max, flags } => match self.masquerade_address(skb, hook) {
                Some(a) => {
                    let range = Range {
                        flags: *flags,
                        addr_min: Some(a),
                        addr_max: Some(a),
                        port_min: *port_min,
                        port_max: *port_max,
                    };
                    self.setup_nat(skb, hook, Manip::Src, &range)?;
                    Ok(Outcome::Verdict(XtVerdict::Accept))
                }
                None => Ok(Outcome::Verdict(XtVerdict::Drop)),
            },
            XtTarget::Redirect { port_min, port_max, flags } => match self.redirect_address(skb, hook) {
                Some(a) => {
                    let range = Range {
                        flags: *flags,
                        addr_min: Some(a),
                        addr_max: Some(a),
                        port_min: *port_min,
                        port_max: *port_max,
                    };
                    self.setup_nat(skb, hook, Manip::Dst, &range)?;
                    Ok(Outcome::Verdict(XtVerdict::Accept))
                }
                None => Ok(Outcome::Verdict(XtVerdict::Drop)),
            },
            XtTarget::Netmap { addr_min, addr_max } => {
                let range = Range { flags: 64, addr_min: *addr_min, addr_max: *addr_max, ..Range::default() };
                self.setup_nat(skb, hook, Manip::of_hook(hook.num), &range)?;
                Ok(Outcome::Verdict(XtVerdict::Accept))
            }
            XtTarget::Mark { mark, mask } => {
                skb.p.mark = (skb.p.mark & !mask) ^ mark;
                passed.push(format!("mark set to {:#x} by {words}", skb.p.mark));
                Ok(Outcome::Continue)
            }
            XtTarget::Connmark { mode, mark, ctmask, nfmask } => {
                if let CtSlot::Entry(conn) = &mut skb.ct {
                    if !conn.mark_known && *mode == 2 {
                        return Err("the connection's mark".into());
                    }
                    match mode {
                        0 => conn.entry.mark = (conn.entry.mark & !ctmask) ^ mark,
                        1 => conn.entry.mark = (conn.entry.mark & !ctmask) ^ (skb.p.mark & nfmask),
                        _ => skb.p.mark = (skb.p.mark & !nfmask) ^ (conn.entry.mark & ctmask),
                    }
                }
                Ok(Outcome::Continue)
            }
            XtTarget::Log { prefix, .. } => {
                passed.push(format!("log {prefix:?} by {words}"));
                Ok(Outcome::Continue)
            }
            XtTarget::Nflog { group, prefix } => {
                passed.push(format!("log group {group} {prefix:?} by {words}"));
                Ok(Outcome::Continue)
            }
            XtTarget::Nfqueue { num, total, bypass } => {
                let last = num.saturating_add(total.saturating_sub(1));
                let to = if last > *num { format!("nfqueue {num}-{last}") } else { format!("nfqueue {num}") };
                let note = if *bypass { " (bypassed when nobody listens)" } else { "" };
                Ok(Outcome::End(
                    Box::new(End::Stolen { to: to.clone(), locus: None }),
                    Action::Stolen { to: to.clone() },
                    format!("handed to {to}{note}"),
                ))
            }
            XtTarget::Tproxy { addr, port, mark, mask } => {
                let to = addr.filter(|a| !a.is_unspecified()).unwrap_or(skb.p.dst);
                let port = if *port == 0 { skb.p.dport } else { *port };
                skb.tproxy = Some((to, port));
                skb.p.mark = (skb.p.mark & !mask) ^ mark;
                passed.push(format!("assigned to a socket on {to} port {port} by {words}"));
                Ok(Outcome::Verdict(XtVerdict::Accept))
            }
            XtTarget::Ct { notrack: true, .. } | XtTarget::Notrack => {
                if skb.ct == CtSlot::None {
                    skb.ct = CtSlot::Untracked;
                    passed.push(format!("notrack by {words}"));
                }
                Ok(Outcome::Continue)
            }
            XtTarget::Ct { zone, .. } => {
                if skb.ct == CtSlot::None {
                    skb.zone = *zone;
                }
                Ok(Outcome::Continue)
            }
            XtTarget::Ttl { mode, ttl } => {
                skb.p.ttl = match mode {
                    0 => *ttl,
                    1 => skb.p.ttl.saturating_add(*ttl),
                    _ => skb.p.ttl.saturating_sub(*ttl),
                };
                Ok(Outcome::Continue)
            }
            XtTarget::Dscp { dscp } => {
                skb.p.tos = (skb.p.tos & 3) | (dscp << 2);
                Ok(Outcome::Continue)
            }
            XtTarget::Tos { value, mask } => {
                skb.p.tos = (skb.p.tos & !mask) ^ value;
                Ok(Outcome::Continue)
            }
            XtTarget::Classify { class } => {
                skb.priority = *class;
                Ok(Outcome::Continue)
            }
            XtTarget::Tcpmss { .. } | XtTarget::Set { .. } | XtTarget::Checksum => Ok(Outcome::Continue),
            XtTarget::Unknown { name, .. } => match name.as_str() {
                "AUDIT" | "LED" | "RATEEST" | "SECMARK" | "CONNSECMARK" | "TCPOPTSTRIP" | "TRACE" | "TEE"
                | "IDLETIMER" | "ECN" | "HMARK" => {
                    passed.push(words.to_string());
                    Ok(Outcome::Continue)
                }
                other => Err(format!("target {other}, which this build does not know")),
            },
        }
    }

    /// ebtables on bridged frames: only rules without selectors this build cannot evaluate decide.
    pub(crate) fn ebtables(&mut self, skb: &mut Skb, hook: &Hook) -> Result<(), End> {
        let tables: Vec<&'a XtTable> = self
            .w
            .xt
            .map(|x| x.0.as_slice())
            .unwrap_or_default()
            .iter()
            .filter(|t| t.family == XtFamily::Ebtables && t.name == "filter")
            .collect();
        for table in tables {
            self.xt_table(skb, table, hook)?;
        }
        Ok(())
    }
}

/// Targets after which the packet goes on unchanged.
fn xt_inert(t: &XtTarget) -> bool {
    matches!(
        t,
        XtTarget::Log { .. }
            | XtTarget::Nflog { .. }
            | XtTarget::Checksum
            | XtTarget::Set { .. }
            | XtTarget::Tcpmss { .. }
            | XtTarget::Standard { verdict: XtVerdict::Continue }
    )
}

/// The answer of REJECT in the words of `End::Rejected`.
fn xt_reject_word(with: &str, v6: bool) -> String {
    let bare = with.strip_prefix("icmp-").or_else(|| with.strip_prefix("icmp6-")).unwrap_or(with);
    match bare {
        "tcp-reset" => "tcp reset".into(),
        "adm-prohibited" => "icmpv6 admin-prohibited".into(),
        "proto-unreachable" => "icmp prot-unreachable".into(),
        other if v6 => format!("icmpv6 {other}"),
        other => format!("icmp {other}"),
    }
}
