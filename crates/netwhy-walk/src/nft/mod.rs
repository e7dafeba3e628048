//! Runs nftables chains on the packet the way the kernel's register machine does.

pub(crate) mod expr;
pub(crate) mod keys;
pub(crate) mod regs;
pub(crate) mod set;

use netwhy_facts::Locus;
use netwhy_facts::nft::{Expr, NftChain, NftRule, NftVerdict};

use crate::hooks::Hook;
use crate::path::{Action, End};
use crate::skb::Skb;
use crate::walk::Walk;

/// NFT_JUMP_STACK_SIZE.
const JUMP_DEPTH: usize = 16;

/// What a rule or a chain did.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// No verdict: the next rule.
    Next,
    Accept,
    /// Drop by the thing at hand.
    Drop,
    Return,
    Jump(String),
    Goto(String),
    /// The packet ends here in another way, with what happened in words.
    End(Box<End>, Action, String),
}

/// The locus of a rule.
pub(crate) fn rule_locus(walk: &Walk<'_, '_>, rule: &NftRule) -> Locus {
    let name = |index: u32| walk.w.link(index).map(|l| l.name.clone());
    let text = walk.w.nft.map(|n| crate::text::rule_spec(n, rule, &name)).unwrap_or_default();
    Locus::NftRule {
        family: rule.family.name().into(),
        table: rule.table.clone(),
        chain: rule.chain.clone(),
        handle: rule.handle,
        text,
    }
}

/// The verdict of a code as the kernel reads it.
pub(crate) fn of_code(v: &NftVerdict) -> Verdict {
    match v {
        NftVerdict::Accept => Verdict::Accept,
        NftVerdict::Drop => Verdict::Drop,
        NftVerdict::Continue => Verdict::Next,
        // NFT_BREAK as data means "not matched"; as the last expression it is the next rule all the same.
        NftVerdict::Break => Verdict::Next,
        NftVerdict::Return => Verdict::Return,
        NftVerdict::Jump(c) => Verdict::Jump(c.clone()),
        NftVerdict::Goto(c) => Verdict::Goto(c.clone()),
        NftVerdict::Queue(n) => Verdict::End(
            Box::new(End::Stolen { to: format!("nfqueue {n}"), locus: None }),
            Action::Stolen { to: format!("nfqueue {n}") },
            format!("handed to user space, queue {n}"),
        ),
        NftVerdict::Other(n) => match n & 0xff {
            0 => Verdict::Drop,
            1 => Verdict::Accept,
            // NF_STOLEN, NF_REPEAT and what else a module may return are not made by rules.
            _ => Verdict::End(
                Box::new(End::Insufficient { what: format!("a verdict of code {n}"), locus: None }),
                Action::Unknown { what: format!("a verdict of code {n}") },
                format!("verdict code {n}"),
            ),
        },
    }
}

/// Whether the rest of a rule does nothing that could change the packet's fate.
fn inert(exprs: &[Expr]) -> bool {
    exprs.iter().all(|e| {
        matches!(
            e,
            Expr::Payload { .. }
                | Expr::Meta { .. }
                | Expr::Ct { .. }
                | Expr::Cmp { .. }
                | Expr::Range { .. }
                | Expr::Bitwise { .. }
                | Expr::Byteorder { .. }
                | Expr::Lookup { dreg: None, .. }
                | Expr::Counter { .. }
                | Expr::Limit { .. }
                | Expr::Log { .. }
                | Expr::Last { .. }
                | Expr::Rt { .. }
                | Expr::Fib { .. }
                | Expr::Exthdr { .. }
        )
    })
}

impl<'a> Walk<'a, '_> {
    /// Runs one base chain. `Ok` lets the packet go on to the next hook.
    pub(crate) fn nft_base_chain(
        &mut self,
        skb: &mut Skb,
        chain: &'a NftChain,
        hook: &Hook,
    ) -> Result<(), End> {
        let name = format!("{} {} {}", chain.family.name(), chain.table, chain.name);
        let mut passed: Vec<String> = Vec::new();
        let mut stack: Vec<(&'a str, usize)> = Vec::new();
        let mut at: (&'a str, usize) = (chain.name.as_str(), 0);
        loop {
            let rule = self.w.rules_of(chain.family, &chain.table, at.0).get(at.1).copied();
            let Some(rule) = rule else {
                match stack.pop() {
                    Some(back) => {
                        at = back;
                        continue;
                    }
                    None => return self.nft_policy(chain, hook, &name, passed),
                }
            };
            at.1 += 1;
            self.budget = self.budget.saturating_sub(1);
            if self.budget == 0 {
                return Err(self.give_up(hook, "the ruleset is longer than the walker follows", None));
            }
            let before = passed.len();
            let verdict = self.nft_rule(skb, rule, hook, &mut passed)?;
            let Some(verdict) = verdict else { continue };
            match verdict {
                Verdict::Next => {
                    if passed.len() == before && !rule.exprs.is_empty() {
                        passed.push(self.rule_words(rule));
                    }
                }
                Verdict::Accept => {
                    let text = format!("{name}: accept by {}", self.rule_words(rule));
                    let locus = Some(rule_locus(self, rule));
                    self.step_passed(hook.stage, text, locus, Action::Pass, passed);
                    return Ok(());
                }
                Verdict::Drop => {
                    let locus = rule_locus(self, rule);
                    let text = format!("{name}: drop by {}", self.rule_words(rule));
                    self.step_passed(hook.stage, text, Some(locus.clone()), Action::Drop, passed);
                    return Err(End::Dropped { locus });
                }
                Verdict::End(end, action, words) => {
                    let locus = rule_locus(self, rule);
                    let text = format!("{name}: {words} by {}", self.rule_words(rule));
                    self.step_passed(hook.stage, text, Some(locus.clone()), action, passed);
                    return Err(with_locus(*end, locus));
                }
                Verdict::Return => match stack.pop() {
                    Some(back) => at = back,
                    None => return self.nft_policy(chain, hook, &name, passed),
                },
                Verdict::Jump(to) => {
                    if stack.len() >= JUMP_DEPTH {
                        let locus = rule_locus(self, rule);
                        let text = format!("{name}: jump stack exhausted at {}", self.rule_words(rule));
                        self.step_passed(hook.stage, text, Some(locus.clone()), Action::Drop, passed);
                        return Err(End::Dropped { locus });
                    }
                    stack.push(at);
                    at = (self.nft_target(chain, &to, rule, hook)?, 0);
                }
                Verdict::Goto(to) => at = (self.nft_target(chain, &to, rule, hook)?, 0),
            }
        }
    }

    fn nft_target(&mut self, base: &NftChain, to: &str, rule: &NftRule, hook: &Hook) -> Result<&'a str, End> {
        match self.w.nft.and_then(|n| n.chain(base.family, &base.table, to)) {
            Some(c) => Ok(c.name.as_str()),
            None => {
                let locus = rule_locus(self, rule);
                Err(self.give_up(hook, &format!("chain {to} was not read"), Some(locus)))
            }
        }
    }

    /// A rule in words for a step.
    pub(crate) fn rule_words(&self, rule: &NftRule) -> String {
        format!("rule handle {} ({})", rule.handle, self.rule_text(rule))
    }

    /// The rule as nft(8) writes it, with the names of this namespace's devices.
    fn rule_text(&self, rule: &NftRule) -> String {
        let name = |index: u32| self.w.link(index).map(|l| l.name.clone());
        self.w.nft.map(|n| crate::text::rule_text_named(n, rule, &name)).unwrap_or_default()
    }

    fn nft_policy(
        &mut self,
        chain: &NftChain,
        hook: &Hook,
        name: &str,
        passed: Vec<String>,
    ) -> Result<(), End> {
        if chain.policy == Some(0) {
            let locus = Locus::NftChain {
                family: chain.family.name().into(),
                table: chain.table.clone(),
                chain: chain.name.clone(),
                hook: crate::text::hook_name(chain).into(),
                policy: "drop".into(),
            };
            self.step_passed(
                hook.stage,
                format!("{name}: policy drop"),
                Some(locus.clone()),
                Action::Drop,
                passed,
            );
            return Err(End::Dropped { locus });
        }
        self.step_passed(hook.stage, format!("{name}: policy accept"), None, Action::Pass, passed);
        Ok(())
    }

    /// Runs one rule: `None` when it did not match.
    fn nft_rule(
        &mut self,
        skb: &mut Skb,
        rule: &'a NftRule,
        hook: &Hook,
        passed: &mut Vec<String>,
    ) -> Result<Option<Verdict>, End> {
        let mut regs = regs::Regs::default();
        for (i, expr) in rule.exprs.iter().enumerate() {
            let rest = rule.exprs.get(i + 1..).unwrap_or_default();
            match self.nft_expr(skb, &mut regs, expr, rule, hook, passed) {
                expr::Flow::Next => {}
                expr::Flow::Break => {
                    // An element that was hit does not matter when the rule does not match after all.
                    passed.retain(|w| !(w.starts_with("element ") && w.ends_with(&self.rule_words(rule))));
                    return Ok(None);
                }
                expr::Flow::Verdict(v) => return Ok(Some(v)),
                expr::Flow::Open(why) => {
                    // Nothing follows that could change anything: it does not matter.
                    if inert(rest) {
                        return Ok(None);
                    }
                    let why = format!("{why}, tested by {}", self.rule_words(rule));
                    let locus = Some(rule_locus(self, rule));
                    if self.choose(2, why, locus, hook.stage) == 0 {
                        return Ok(None);
                    }
                }
                expr::Flow::GiveUp(why) => {
                    let locus = Some(rule_locus(self, rule));
                    return Err(self.give_up(hook, &why, locus));
                }
            }
        }
        Ok(Some(Verdict::Next))
    }
}

/// Puts the object that decided where an end has a place for it.
fn with_locus(end: End, locus: Locus) -> End {
    match end {
        End::Stolen { to, locus: None } => End::Stolen { to, locus: Some(locus) },
        End::Insufficient { what, locus: None } => End::Insufficient { what, locus: Some(locus) },
        other => other,
    }
}
