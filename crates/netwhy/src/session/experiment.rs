//! Experiments: what the surviving explanations would be told apart by. Only toward the target, inside the budget.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use netwhy_ask::Wait;
use netwhy_ask::connect::Try;
use netwhy_ask::syn::Syn;
use netwhy_causes::case::{Case, Fate};
use netwhy_causes::engine::{FlowPaths, Judgement};
use netwhy_causes::report::{Confidence, Overall};
use netwhy_facts::attempt::{Attempt, Attempts};
use netwhy_facts::link::Links;
use netwhy_facts::path::{NeighProbes, PathMtu, PathMtus, Paths};
use netwhy_facts::question::{App, Role};
use netwhy_facts::route::{FibAnswers, FibResult};
use netwhy_facts::tls::{HttpAnswers, TlsHandshakes, TlsOutcome};
use netwhy_facts::{Flow, Proto, Reading};

use super::Session;

/// Flows whose path is probed.
const MAX_PATHS: usize = 2;
/// How long an attempt with one thing changed is waited for; less than it takes to repeat a SYN.
const TRIAL: Duration = Duration::from_millis(500);
/// How long a connection with small segments is given to be answered.
const SMALL: Duration = Duration::from_millis(900);
/// The segments it takes: what every IPv4 host accepts (RFC 9293 section 3.7.1), and what fits IPv6's smallest MTU.
const SEGMENTS: [u16; 2] = [536, 1220];
/// Other source ports that a vanished request is sent from.
const OTHER_PORTS: u32 = 4;
/// How long the holders of an address on the link are waited for.
const HOLDERS: Duration = Duration::from_millis(400);
/// How long hops are waited for.
const HOPS: Duration = Duration::from_millis(800);

impl Session {
    /// Whether sending more could change the answer.
    pub(super) fn wants_experiments(&self, judgement: &Judgement) -> bool {
        let settled = judgement.causes.iter().any(|c| c.confidence == Confidence::Proven && !c.outside);
        self.question.role == Role::Client
            && !self.options.passive
            && !self.question.flows.is_empty()
            && (!settled || self.stalled())
            && (judgement.verdict != Overall::Healthy || self.stalled())
    }

    /// Makes the attempts that would refute a wrong choice of this host. Tells whether there were any.
    pub(super) fn try_again(&mut self, paths: &[FlowPaths]) -> bool {
        if self.options.passive || self.is_interrupted() {
            return false;
        }
        let trials = netwhy_causes::trial::wanted(&self.facts, &self.question, paths);
        let mut made = Vec::new();
        let denied = |p: &&FlowPaths| netwhy_causes::trial::denied(&p.case(&self.facts, &self.question));
        if let Some(p) = paths.iter().find(denied) {
            let dst = self.socket_addr(p.flow.dst, p.flow.dport);
            made.push(netwhy_ask::connect::without_address(dst));
        }
        for trial in &trials {
            let victim = netwhy_ask::Victim {
                mark: self.options.mark,
                device: trial.device.clone().or_else(|| self.options.dev.clone()),
                source: trial.source.or(self.options.source),
            };
            let deadline = (Instant::now() + TRIAL).min(self.deadline());
            let stop = || self.is_interrupted();
            let wait = Wait { deadline, stop: &stop };
            let dst = self.socket_addr(trial.flow.dst, trial.flow.dport);
            let tried = match trial.flow.proto {
                Proto::Icmp => netwhy_ask::echo::run_scoped(&[dst], &victim, &self.budget, &wait),
                proto => {
                    let again = Try { variant: Some(trial.variant()), ..Try::plain(proto, dst) };
                    netwhy_ask::connect::run(&[again], &victim, &self.budget, &wait)
                }
            };
            made.extend(tried.into_iter().map(|t| Attempt { variant: Some(trial.variant()), ..t.attempt }));
        }
        if made.is_empty() {
            return false;
        }
        let mut all = self.facts.value::<Attempts>().cloned().unwrap_or_default();
        all.0.extend(made);
        self.facts.put(Reading::known(all, "connect(2)", netwhy_sys::clock::monotonic()));
        true
    }

    /// Asks on the link who holds the next hops that may have been mistaken. Tells whether anybody was asked.
    pub(super) fn ask_neighbours(&mut self, paths: &[FlowPaths]) -> bool {
        if self.options.passive || self.is_interrupted() {
            return false;
        }
        let mut probes = NeighProbes::default();
        for hop in netwhy_causes::nexthop::probes_wanted(&self.facts, &self.question, paths) {
            let deadline = (Instant::now() + HOLDERS).min(self.deadline());
            let stop = || self.is_interrupted();
            let wait = Wait { deadline, stop: &stop };
            match netwhy_ask::neigh::probe(&hop.dev, hop.address, None, &self.budget, &wait) {
                Reading::Known { value, .. } => probes.0.push(value),
                absent => {
                    self.facts.put(absent.map(|_| NeighProbes::default()));
                    return true;
                }
            }
        }
        if probes.0.is_empty() {
            return false;
        }
        self.facts.put(Reading::known(probes, "ARP or ND probe", netwhy_sys::clock::monotonic()));
        true
    }

    /// A connection stands and then nothing comes: large packets may be lost.
    fn stalled(&self) -> bool {
        let silent = self
            .facts
            .value::<TlsHandshakes>()
            .is_some_and(|t| t.0.iter().any(|h| matches!(h.outcome, TlsOutcome::Timeout)));
        let silent = silent
            || self
                .facts
                .value::<HttpAnswers>()
                .is_some_and(|all| all.0.iter().any(|a| a.status.is_none() && a.first_byte_us.is_none()));
        silent && !matches!(self.question.target.app, App::None | App::Dns)
    }

    /// Sends what vanished again from other source ports, and by hand with one option less each: all at once, for they
    /// are told apart by who answers.
    fn try_vanished(&self, vanished: &[Flow]) -> Vec<Attempt> {
        let syns: Vec<(String, Syn)> = netwhy_causes::trial::syns(&self.facts)
            .into_iter()
            .map(|s| {
                let syn =
                    Syn { ecn: s.ecn, sack: s.sack, timestamps: s.timestamps, window_scale: s.window_scale };
                (s.variant, syn)
            })
            .collect();
        let (victim, budget, interrupted) = (self.victim(), &self.budget, self.interrupted);
        let stop = || interrupted.load(std::sync::atomic::Ordering::Relaxed);
        let wait = Wait { deadline: Instant::now() + TRIAL, stop: &stop };
        let mut made = Vec::new();
        for flow in vanished {
            let dst = self.socket_addr(flow.dst, flow.dport);
            let other = |n| Try { bound: n % 2 == 0, ..again(netwhy_causes::trial::OTHER_PORT, dst) };
            let ports: Vec<Try> = (0..OTHER_PORTS).map(other).collect();
            let (by_hand, tried) = std::thread::scope(|scope| {
                let by_hand = scope.spawn(|| netwhy_ask::syn::run(&syns, dst, &victim, budget, &wait));
                let tried = netwhy_ask::connect::run(&ports, &victim, budget, &wait);
                (by_hand.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), tried)
            });
            made.extend(tried.into_iter().map(|t| t.attempt).chain(by_hand));
        }
        made
    }

    /// Where another source port was answered: once more from the one that failed, which tells a dead path from chance.
    fn try_same_port(&self, vanished: &[Flow], made: &[Attempt]) -> Vec<Attempt> {
        let other_answered = |flow: &&Flow| {
            made.iter().any(|a| {
                a.dst == flow.dst
                    && a.variant.as_deref() == Some(netwhy_causes::trial::OTHER_PORT)
                    && netwhy_causes::trial::answered(a)
            })
        };
        let tries: Vec<Try> = vanished
            .iter()
            .filter(other_answered)
            .filter_map(|flow| {
                let dst = self.socket_addr(flow.dst, flow.dport);
                Some(Try { sport: flow.sport?, ..again(netwhy_causes::trial::SAME_PORT, dst) })
            })
            .collect();
        if tries.is_empty() {
            return Vec::new();
        }
        let stop = || self.is_interrupted();
        let wait = Wait { deadline: Instant::now() + TRIAL, stop: &stop };
        let tried = netwhy_ask::connect::run(&tries, &self.victim(), &self.budget, &wait);
        tried.into_iter().map(|t| t.attempt).collect()
    }

    fn victim(&self) -> netwhy_ask::Victim {
        netwhy_ask::Victim {
            mark: self.options.mark,
            device: self.options.dev.clone(),
            source: self.options.source,
        }
    }

    /// Probes the path of flows that got no answer, and sends again what vanished; searches the path MTU where a
    /// connection stalled.
    pub(super) fn experiment(&mut self, paths: &[FlowPaths]) {
        let flows_where = |wanted: &dyn Fn(&Case<'_>, &FlowPaths) -> bool| -> Vec<Flow> {
            let chosen = paths.iter().filter(|p| wanted(&p.case(&self.facts, &self.question), p));
            chosen.map(|p| p.flow.clone()).take(MAX_PATHS).collect()
        };
        let failing = flows_where(&|case, p| {
            // A target on the link has no hops before it.
            let on_link = case.hops().iter().any(|hop| hop.address == p.flow.dst);
            // A refusal by the target itself needs no path; silence and errors from the way do.
            case.fate() == Fate::Fails
                && !case.target_is_local()
                && !on_link
                && (case.timed_out() || !case.icmp_remote().is_empty())
        });
        let vanished = flows_where(&|case, _| netwhy_causes::trial::vanished(case));
        let (interrupted, budget) = (self.interrupted, &self.budget);
        let stop = || interrupted.load(std::sync::atomic::Ordering::Relaxed);
        let trace_all = || -> Vec<Reading<_>> {
            let trace = |flow| {
                let wait = Wait { deadline: Instant::now() + HOPS, stop: &stop };
                netwhy_ask::path::trace(flow, budget, &wait)
            };
            failing.iter().map(trace).collect()
        };
        let (mut made, traced) = std::thread::scope(|scope| {
            let tracing = scope.spawn(trace_all);
            let made = self.try_vanished(&vanished);
            (made, tracing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        made.extend(self.try_same_port(&vanished, &made));
        if !made.is_empty() {
            let mut all = self.facts.value::<Attempts>().cloned().unwrap_or_default();
            all.0.extend(made);
            self.facts.put(Reading::known(all, "connect(2)", netwhy_sys::clock::monotonic()));
        }
        let mut found = Vec::new();
        for one in traced {
            match one {
                Reading::Known { value, .. } => found.push(value),
                absent => {
                    self.facts.put(absent.map(|_| Paths::default()));
                    return;
                }
            }
        }
        if !found.is_empty() {
            self.facts.put(Reading::known(
                Paths(found),
                "TTL-limited probes",
                netwhy_sys::clock::monotonic(),
            ));
        }
        if self.stalled()
            && let Some(flow) = self.question.flows.first()
        {
            let wait = Wait { deadline: Instant::now() + HOPS, stop: &stop };
            let mtu = netwhy_ask::pmtu::search(flow, &self.budget, &wait);
            // Where echo is filtered, or not for this user, sizes of echo tell nothing: those of a connection do.
            let told = mtu.value().is_some_and(|m| m.passes.is_some());
            let local_mtu = mtu.value().map(|m| m.local_mtu).or_else(|| self.egress_mtu());
            let mut all = mtu.map(|m| PathMtus(vec![m]));
            if !told && let Some(by_connection) = self.small_segments(local_mtu) {
                let mut list = all.value().cloned().unwrap_or_default();
                list.0.push(by_connection);
                let at = netwhy_sys::clock::monotonic();
                all = Reading::known(list, "connections with small segments", at);
            }
            self.facts.put(all);
        }
    }

    /// The MTU of the device the first flow leaves by.
    fn egress_mtu(&self) -> Option<u32> {
        let flow = self.question.flows.first()?;
        let answers = self.facts.value::<FibAnswers>()?;
        let oif = answers.0.iter().filter(|a| a.key.dst == flow.dst).find_map(|a| match &a.result {
            FibResult::Route(route) => route.oif,
            FibResult::Error { .. } => None,
        })?;
        self.facts.value::<Links>()?.by_index(oif).map(|link| link.mtu)
    }

    /// Asks the same again on connections that announce and send small segments only: where they are answered and the
    /// plain one is not, large packets are lost, in one direction or the other.
    fn small_segments(&self, local_mtu: Option<u32>) -> Option<PathMtu> {
        let flow = self.question.flows.first()?;
        let headers = if flow.dst.is_ipv4() { 40 } else { 60 };
        let dst = self.socket_addr(flow.dst, flow.dport);
        let victim = self.victim();
        let interrupted = self.interrupted;
        let stop = || interrupted.load(std::sync::atomic::Ordering::Relaxed);
        let wait = Wait { deadline: (Instant::now() + SMALL).min(self.deadline()), stop: &stop };
        let tries = SEGMENTS.map(|bytes| Try {
            variant: Some(format!("segment={bytes}")),
            linger: Duration::ZERO,
            max_segment: Some(bytes),
            ..Try::plain(Proto::Tcp, dst)
        });
        let before = self.budget.spent();
        let connected = netwhy_ask::connect::run(&tries, &victim, &self.budget, &wait);
        let (target, budget, now) = (&self.question.target, &self.budget, self.started_unix_s);
        let wait = &wait;
        let answered: Vec<u32> = std::thread::scope(|scope| {
            let asked: Vec<_> = connected
                .into_iter()
                .zip(SEGMENTS)
                .filter_map(|(tried, bytes)| Some((tried.stream?, bytes)))
                .map(|(stream, bytes)| {
                    scope.spawn(move || {
                        let spoken = netwhy_ask::speak(stream, target, now, budget, wait);
                        let tls = spoken.tls.as_ref().and_then(Reading::value);
                        let http = spoken.http.as_ref().and_then(Reading::value);
                        let heard = tls
                            .is_some_and(|t| t.0.iter().any(|h| !matches!(h.outcome, TlsOutcome::Timeout)))
                            || http.is_some_and(|h| h.0.iter().any(|a| a.first_byte_us.is_some()));
                        heard.then_some(u32::from(bytes) + headers)
                    })
                })
                .collect();
            let join = |one: std::thread::ScopedJoinHandle<'_, Option<u32>>| {
                one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            asked.into_iter().filter_map(join).collect()
        });
        let local_mtu = local_mtu?;
        let passes = answered.into_iter().max();
        Some(PathMtu {
            dst: flow.dst,
            proto: Proto::Tcp,
            local_mtu,
            passes,
            // The plain connection, which the device's MTU shaped.
            fails: Some(local_mtu),
            told: None,
            black_hole: passes.is_some_and(|size| size < local_mtu),
            sent: self.budget.spent() - before,
        })
    }
}

/// The question once more with one thing changed; the caller changes it. Nothing is watched after the connection stands.
fn again(variant: &str, dst: SocketAddr) -> Try {
    Try { variant: Some(variant.into()), linger: Duration::ZERO, ..Try::plain(Proto::Tcp, dst) }
}
